// From a Django login to a file typed in VS Code's terminal; then search, extensions, a preview.
// HOME_ON_HOST is the user's data directory.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { logIn, scenario, SITE, typeInTerminal, until, workbench } from "./person.mjs";

const home = process.env.HOME_ON_HOST;

await scenario("editor", async (page, step, shot) => {
  await page.goto(SITE);
  await logIn(page);
  step("logged in to Django");

  let starting = false;
  page.on("response", (answer) => { starting ||= answer.status() === 202; });
  await page.click("text=Open Codespace", { noWaitAfter: true });
  await page.waitForResponse((answer) => answer.status() === 202);
  await page.waitForLoadState("domcontentloaded");
  // It goes on by itself, at times in the middle of the picture.
  await shot("starting").catch(() => step("the starting page was gone before its picture was taken"));
  step("saw the starting page");

  await workbench(page);
  await shot("workbench");
  step("the workbench is drawn");

  await typeInTerminal(page, "echo hi > made-here");
  const file = join(home, "made-here");
  await until("the file is on the host", () => existsSync(file) && readFileSync(file, "utf8") === "hi\n");
  await shot("terminal");
  step("made-here is in the data directory");

  writeFileSync(join(home, "notes.md"), "# Seen in a preview\n\nneedle in a haystack\n");
  await page.keyboard.press("Control+Shift+F");
  await page.locator(".search-view .search-widget textarea").first().fill("needle in");
  await page.keyboard.press("Enter");
  await page.locator(".search-view .results .monaco-list-row", { hasText: "notes.md" }).first().waitFor();
  step("search found it");

  await page.keyboard.press("Control+Shift+X");
  await page.locator(".extensions-viewlet").waitFor();
  step("the extensions are shown");

  await page.keyboard.press("Control+P");
  await page.locator(".quick-input-widget input").first().waitFor();
  await page.keyboard.type("notes.md");
  await page.locator(".quick-input-list .monaco-list-row", { hasText: "notes.md" }).first().waitFor();
  await page.keyboard.press("Enter");
  await page.locator(".tab.active", { hasText: "notes.md" }).waitFor();
  await page.locator(".editor-instance .view-lines").first().click();
  await page.keyboard.press("Control+Shift+V");
  await until("the preview shows the heading", async () => {
    for (const frame of page.frames()) {
      if (await frame.locator("h1:has-text('Seen in a preview')").count().catch(() => 0)) return true;
    }
    return false;
  });
  await shot("preview");
  step("the markdown preview is drawn");
});
