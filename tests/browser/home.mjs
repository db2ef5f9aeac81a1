// The home page as a person sees it: light and dark, on a phone and on a desk, with script and
// without; and it keeps up with what happens.

import { logIn, ORIGIN, scenario, SITE, until, USERNAME, workbench } from "./person.mjs";

const SIZES = { desk: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

await scenario("home", async (page, step, shot) => {
  const blocked = [];
  page.on("console", (message) => {
    if (/Content Security Policy/.test(message.text())) blocked.push(message.text());
  });
  await page.goto(SITE);
  await logIn(page);
  await page.click("text=Open Codespace");
  await workbench(page);
  step("the editor is open");

  const home = await page.context().newPage();
  await home.goto(ORIGIN);
  const word = home.locator(".state .word");
  await until("it runs", async () => (await word.innerText()).toLowerCase() === "running");
  await home.locator(".gauges .label", { hasText: "CPU" }).waitFor();
  await home.locator(".gauges .label", { hasText: "Files" }).waitFor();
  await home.locator(".facts", { hasText: "if nothing more happens" }).first().waitFor();
  const connected = home.locator(".clocks div", { hasText: "Last connected" });
  await connected.filter({ hasText: "open)" }).waitFor({ state: "attached" });
  await home.click(".clocks summary");
  step("it tells what is used");

  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      await home.setViewportSize(viewport);
      await home.emulateMedia({ colorScheme });
      const wide = await home.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) throw new Error(`${size}: ${wide} pixels too wide`);
      await home.screenshot({ path: `${process.env.SHOTS}/home-${size}-${colorScheme}.png`, fullPage: true });
    }
  }
  step("it fits a phone and a desk");

  // What has the focus keeps it while the page changes.
  const stop = home.locator("button", { hasText: "Stop the workspace" });
  await stop.focus();
  await page.goto("about:blank");
  await connected.filter({ hasText: "ago" }).waitFor();
  if (!(await stop.evaluate((button) => button === document.activeElement))) throw new Error("the focus was lost");
  step("it hears that the editor was closed");

  const other = await page.context().newPage();
  await other.goto(ORIGIN);
  await other.click("button:has-text('Stop the workspace')");
  await until("the first page hears of the stop", async () => (await word.innerText()).toLowerCase() === "stopped");
  await home.screenshot({ path: `${process.env.SHOTS}/home-stopped.png`, fullPage: true });
  step("stopped in one tab, and the other one tells so");

  // Its stream is refused from now on, again and again, as by a server that is gone.
  const lost = home.locator("#lost");
  await home.route("**/_vestibule/live", (route) => route.abort());
  await home.reload();
  await lost.waitFor({ timeout: 20_000 });
  await home.unroute("**/_vestibule/live");
  await lost.waitFor({ state: "hidden", timeout: 20_000 });
  step("it tells that nobody answers, and takes that back");

  const plain = await page.context().browser().newContext({
    javaScriptEnabled: false,
    storageState: await page.context().storageState(),
  });
  const still = await plain.newPage();
  await still.goto(ORIGIN);
  await still.locator(".state", { hasText: "stopped" }).waitFor();
  await still.locator(`a[href="/codespace/${USERNAME}/"]`).waitFor();
  await plain.close();
  step("it works without script");

  await other.click("button:has-text('Log out')");
  await other.locator("text=You are signed out").waitFor();
  await home.reload();
  await home.locator("input[name=username], h1").first().waitFor();
  if (blocked.length) throw new Error(blocked.join("\n"));
  step("logged out");
});
