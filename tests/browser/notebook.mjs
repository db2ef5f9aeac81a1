// The same session in JupyterLab: the file from the editor, a cell, a terminal.
// HOME_ON_HOST is the user's data directory.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ORIGIN, SITE, scenario, until } from "./person.mjs";

const home = process.env.HOME_ON_HOST;

await scenario("notebook", async (page, step, shot) => {
  await page.goto(SITE);
  await page.click("text=Open JupyterLab");
  await page.locator(".jp-Launcher").first().waitFor();
  await shot("launcher");
  step("JupyterLab is drawn, and nobody asked for a login");

  await page.locator(".jp-DirListing-item", { hasText: "made-here" }).first().waitFor();
  step("the file made in the editor is listed");

  await page.locator(".jp-LauncherCard[data-category=Notebook]").first().click();
  await page.locator(".jp-Notebook .jp-CodeCell .cm-content").first().waitFor();
  // JupyterLab 4.6 loses what is run before a fresh kernel is ready (without any proxy in
  // between in 6 of 6 tries). A person loads the page again then.
  for (let tries = 3; ; tries--) {
    const cell = page.locator(".jp-Notebook .jp-CodeCell .cm-content").first();
    await cell.waitFor();
    await cell.click();
    await page.keyboard.press("Control+A");
    await page.keyboard.type("6*7");
    await page.keyboard.press("Shift+Enter");
    const answer = page.locator(".jp-OutputArea-output", { hasText: /^42$/ }).first();
    const seen = await answer.waitFor({ timeout: 15_000 }).then(() => true, () => false);
    if (seen) break;
    if (!tries) throw new Error("the kernel never answered");
    step("no answer from the kernel; reloading");
    await page.keyboard.press("Control+S");
    await page.reload();
  }
  await shot("cell");
  step("6*7 is 42");

  await page.locator("[data-command='launcher:create']").first().click();
  await page.locator(".jp-LauncherCard", { hasText: "Terminal" }).last().click();
  const input = page.locator(".jp-Terminal .xterm-helper-textarea").first();
  await input.waitFor({ state: "attached" });
  await until("the terminal works", async () => {
    // The notebook may have taken the front again.
    await page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", { hasText: "Terminal" }).last().click();
    await input.focus();
    await page.keyboard.type("echo $((40+2)) > from-terminal\n");
    const file = join(home, "from-terminal");
    for (let tries = 0; tries < 20; tries++) {
      if (existsSync(file) && readFileSync(file, "utf8") === "42\n") return true;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return false;
  });
  await shot("terminal");
  step(`the terminal works at ${ORIGIN}`);
});
