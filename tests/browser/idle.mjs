// Someone's IDE is open, and they do something with it or nothing, until we are ended.
//   ROLE   untouched: both IDEs, and nobody there
//          typing: into a terminal, with pauses
//          computing: a loop in a terminal whose tab is closed
//          sleeping: a cell that waits, in a tab that is closed

import { ORIGIN, USERNAME, scenario, typeInTerminal, workbench } from "./person.mjs";

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function editor(page) {
  await page.goto(`${ORIGIN}/codespace/${USERNAME}/`);
  await workbench(page);
}

async function lab(page) {
  await page.goto(`${ORIGIN}/jupyter/${USERNAME}/lab`);
  await page.locator(".jp-Launcher").first().waitFor();
}

const roles = {
  async untouched(page, go) {
    await editor(page);
    await lab(await page.context().newPage());
    go();
  },
  async typing(page, go) {
    await editor(page);
    await typeInTerminal(page, "echo ready");
    go();
    for (;;) {
      await page.keyboard.type("# and so on and on, until the end ", { delay: 120 });
      await sleep(3000);
    }
  },
  async computing(page, go) {
    await editor(page);
    await typeInTerminal(page, "python3 -c 'while True: pass'");
    await sleep(1000);
    await page.goto("about:blank");
    go();
  },
  async sleeping(page, go) {
    await lab(page);
    await page.locator(".jp-LauncherCard[data-category=Notebook]").first().click();
    const cell = page.locator(".jp-Notebook .jp-CodeCell .cm-content").first();
    const busy = page.locator(".jp-Notebook-ExecutionIndicator[data-status=busy]").first();
    // What is run before a fresh kernel is ready is lost, at times.
    do {
      await cell.click();
      await page.keyboard.press("Control+A");
      await page.keyboard.type("import time; time.sleep(3600)");
      await page.keyboard.press("Control+Enter");
    } while (!(await busy.waitFor({ timeout: 10_000 }).then(() => true, () => false)));
    await page.goto("about:blank");
    go();
  },
};

await scenario(`idle-${process.env.ROLE}`, async (page, step) => {
  // Whoever ends us ends the browser first.
  page.context().browser().on("disconnected", () => process.exit());
  await roles[process.env.ROLE](page, () => step("it goes on"));
  for (;;) await sleep(1000);
});
