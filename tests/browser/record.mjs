// Someone before an IDE for a while, in one way: what tests/traces is recorded from.
//   APP      codespace or jupyter
//   SCENE    hidden, asleep or one of `scenes` below
//   SECONDS  for how long
// Says `begin` and `end` with the time (Unix milliseconds) between which the scene lasted.

import { spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { ARGUMENTS, BROWSER, ORIGIN, USERNAME, scenario, typeInTerminal, until, workbench } from "./person.mjs";

const { APP, SCENE, SECONDS, HOME_ON_HOST: home } = process.env;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const say = (what) => console.log(`${what} ${Date.now()}`);

/** Does `act` until the scene is over, with pauses of `least` to `most` ms as people make them. */
async function last(least, most, act) {
  const end = Date.now() + SECONDS * 1000;
  while (Date.now() < end) {
    await act();
    await sleep(least + Math.random() * (most - least));
  }
}

/** Types a few words as people do. */
async function words(page) {
  const from = Math.floor(Math.random() * 20);
  for (const letter of TEXT.slice(from, from + 12 + Math.random() * 20)) {
    await page.keyboard.type(letter);
    await sleep(60 + Math.random() * 240);
  }
}

/** Puts a file into the user's home, which is there once the workspace is. */
function put(name, text) {
  const file = join(home, name);
  writeFileSync(file, text);
  chownSync(file, 1000, 1000);
}

const BUILD = "while :; do find /usr/lib -type f | head -n 3000 | xargs sha256sum | gzip > /dev/null; done";
const COMPUTE = "while True: sum(i * i for i in range(10**6))";
const TEXT = "the quick brown fox jumps over the lazy dog and ";

const codespace = {
  async open(page) {
    await page.goto(`${ORIGIN}/codespace/${USERNAME}/`);
    await workbench(page);
    put("text.py", "# line of a long file\n".repeat(2000));
    await page.keyboard.press("Control+P");
    await page.locator(".quick-input-widget input").first().waitFor();
    await page.keyboard.type("text.py");
    await page.locator(".quick-input-list .monaco-list-row", { hasText: "text.py" }).first().waitFor();
    await page.keyboard.press("Enter");
    await page.locator(".editor-instance .view-lines").first().click();
  },
  place: ".editor-instance .view-lines",
  run: typeInTerminal,
};

const jupyter = {
  async open(page) {
    await page.goto(`${ORIGIN}/jupyter/${USERNAME}/lab`);
    await page.locator(".jp-Launcher").first().waitFor();
    const source = Array.from({ length: 60 }, (_, n) => ({
      id: `c${n}`, cell_type: "code", execution_count: null, metadata: {}, outputs: [], source: `# cell ${n}\nx = ${n}`,
    }));
    const kernelspec = { name: "python3", display_name: "Python 3", language: "python" };
    const book = { nbformat: 4, nbformat_minor: 5, metadata: { kernelspec }, cells: source };
    put("book.ipynb", JSON.stringify(book));
    await page.goto(`${ORIGIN}/jupyter/${USERNAME}/lab/tree/book.ipynb`);
    await page.locator(".jp-Notebook .jp-CodeCell .cm-content").first().waitFor();
    await page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first().waitFor().catch(() => {});
    await page.locator(".jp-Notebook .jp-CodeCell .cm-content").first().click();
  },
  place: ".jp-Notebook",
  async run(page, line) {
    await page.locator("[data-command='launcher:create']").first().click();
    await page.locator(".jp-LauncherCard", { hasText: "Terminal" }).last().click();
    const input = page.locator(".jp-Terminal .xterm-helper-textarea").first();
    await input.waitFor({ state: "attached" });
    await sleep(3000);
    await input.focus();
    await page.keyboard.type(line + "\n", { delay: 15 });
  },
};

const ide = { codespace, jupyter }[APP];

const scenes = {
  visible: async () => sleep(SECONDS * 1000),
  // Some words, and a thought before the next ones.
  typing: (page) => last(2000, 15_000, () => words(page)),
  async shell(page) {
    await ide.run(page, "echo ready");
    await last(2000, 15_000, () => words(page));
  },
  // A cell now and then; a short command for who has no cells.
  async running(page) {
    if (APP === "codespace") await ide.run(page, "echo ready");
    await last(10_000, 30_000, async () => {
      if (APP === "codespace") await page.keyboard.type("git status\n", { delay: 120 });
      else await page.keyboard.press("Shift+Enter");
    });
  },
  // Some turns of the wheel, a move of the mouse, and a while of reading.
  async reading(page) {
    const box = await page.locator(ide.place).first().boundingBox();
    let turn = 0;
    await last(3000, 15_000, async () => {
      turn += 1;
      await page.mouse.move(box.x + 50 + ((turn * 37) % 300), box.y + 30 + ((turn * 23) % 200), { steps: 15 });
      for (let notch = 0; notch < 8; notch++) {
        await page.mouse.wheel(0, turn % 40 < 20 ? 100 : -100);
        await sleep(60);
      }
    });
  },
  async building(page) {
    await ide.run(page, BUILD);
    await sleep(SECONDS * 1000);
  },
  async computing(page) {
    if (APP === "jupyter") {
      // What is run before a fresh kernel is ready is lost, at times.
      const busy = page.locator(".jp-Notebook-ExecutionIndicator[data-status=busy]").first();
      do {
        await page.locator(".jp-Notebook .jp-CodeCell .cm-content").first().click();
        await page.keyboard.press("Control+A");
        await page.keyboard.type(COMPUTE);
        await page.keyboard.press("Control+Enter");
      } while (!(await busy.waitFor({ timeout: 10_000 }).then(() => true, () => false)));
    } else {
      await ide.run(page, `python3 -c '${COMPUTE}'`);
    }
    await sleep(SECONDS * 1000);
  },
};

/**
 * A tab behind another one. Playwright makes every page that it holds believe that it is seen, so
 * it lets go of this one.
 */
async function behind() {
  const profile = mkdtempSync(join(tmpdir(), "vestibule-tab-"));
  const own = ["--headless", "--remote-debugging-port=0", `--user-data-dir=${profile}`];
  // Lets its timers run once a minute after 10 s instead of 5 minutes.
  if (SCENE === "asleep") own.push("--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/10");
  const env = { ...process.env, LD_PRELOAD: process.env.STILL };
  const browser = spawn(BROWSER, [...ARGUMENTS, ...own, "about:blank"], { env, stdio: "ignore" });
  try {
    const note = join(profile, "DevToolsActivePort");
    await until("the browser is there", () => existsSync(note) && readFileSync(note, "utf8").includes("\n"));
    const at = `http://127.0.0.1:${readFileSync(note, "utf8").split("\n")[0]}`;
    let held = await chromium.connectOverCDP(at);
    const [context] = held.contexts();
    context.setDefaultTimeout(120_000);
    await context.addCookies(JSON.parse(readFileSync(process.env.SESSION, "utf8")).cookies);
    const [page] = context.pages();
    await ide.open(page);
    await page.evaluate(() => {
      window.seen = [];
      document.addEventListener("visibilitychange", () => window.seen.push(document.visibilityState));
    });
    say("begin");
    await held.close();
    await fetch(`${at}/json/new?about:blank`, { method: "PUT" });
    await sleep(SECONDS * 1000);
    say("end");
    held = await chromium.connectOverCDP(at);
    console.log("visibility", await held.contexts()[0].pages().find((tab) => tab.url() !== "about:blank").evaluate(() => window.seen));
    await held.close();
  } finally {
    const gone = new Promise((resolve) => browser.once("exit", resolve));
    browser.kill();
    await gone;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

if (SCENE === "hidden" || SCENE === "asleep") await behind();
else {
  await scenario(`record-${APP}-${SCENE}`, async (page, step, shot) => {
    await ide.open(page);
    await shot("open");
    say("begin");
    await scenes[SCENE](page);
    say("end");
  });
}
