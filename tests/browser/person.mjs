// A person at a browser: what every scenario begins with. Everything comes from the environment,
// which tests/it/browser.rs sets:
//   ORIGIN, SITE   Vestibule's and Django's origins
//   USERNAME, PASSWORD
//   PIN            base64 SHA-256 of the certificate's public key
//   SHOTS          where screenshots go
//   SESSION        file that keeps the browser's cookies from one scenario to the next
//   STILL          library that keeps the browser from noticing that interfaces come and go, for
//                  whoever isn't root: Vestibule then can't see to that (src/engine/bridge.rs)
//   CHROMIUM       the browser, if it isn't at /usr/bin/chromium

import { existsSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const env = process.env;
export const { ORIGIN, SITE, USERNAME, PASSWORD } = env;

export const BROWSER = env.CHROMIUM || "/usr/bin/chromium";
export const ARGUMENTS = [
  "--no-sandbox",
  "--disable-dev-shm-usage",
  // The pin makes the certificate trusted: with errors merely ignored, Chromium refuses the
  // service workers that VS Code's webviews need.
  `--ignore-certificate-errors-spki-list=${env.PIN}`,
];

/** Runs `scenario(page, step, shot)`; a failure leaves a screenshot and ends the process with 1. */
export async function scenario(name, story) {
  const browser = await chromium.launch({
    executablePath: BROWSER,
    env: process.getuid() === 0 ? env : { ...env, LD_PRELOAD: env.STILL },
    args: ARGUMENTS,
  });
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 },
    storageState: env.SESSION && existsSync(env.SESSION) ? env.SESSION : undefined,
  });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  // What went wrong in the browser itself, told if the story fails.
  const complaints = [];
  page.on("requestfailed", (call) => complaints.push(`${call.failure()?.errorText} ${call.url().split("?")[0]}`));
  page.on("pageerror", (error) => complaints.push(error.message));
  const began = Date.now();
  const step = (what) => console.log(`${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s  ${what}`);
  const shot = (what) => page.screenshot({ path: join(env.SHOTS, `${name}-${what}.png`) });
  try {
    await story(page, step, shot);
    if (env.SESSION) await context.storageState({ path: env.SESSION });
  } catch (error) {
    console.log(`at ${page.url().split("?")[0]}: ${error.stack}`);
    console.log(complaints.slice(-20).join("\n"));
    await shot("failed").catch(() => {});
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

/** Fills in Django's login form, if that is where we are. */
export async function logIn(page) {
  await page.fill("input[name=username]", USERNAME);
  await page.fill("input[name=password]", PASSWORD);
  await page.click("button:has-text('Log in')");
}

/** Waits until VS Code's workbench is drawn. */
export async function workbench(page) {
  await page.locator(".monaco-workbench .activitybar").first().waitFor();
  await page.locator(".monaco-workbench .statusbar-item").first().waitFor();
}

/** Types a line into a new terminal of VS Code. */
export async function typeInTerminal(page, line) {
  const input = page.locator(".terminal-wrapper.active .xterm-helper-textarea").first();
  // A workbench that is just drawn doesn't know its keys yet; a person presses them again.
  await until("a terminal opens", async () => {
    await page.keyboard.press("Control+Shift+Backquote");
    return input.waitFor({ state: "attached", timeout: 5000 }).then(() => true, () => false);
  });
  // The prompt: before it, what is typed would be echoed twice or lost.
  await page.waitForFunction(() => {
    const rows = document.querySelector(".terminal-wrapper.active .xterm-rows, .terminal-wrapper.active .xterm-accessibility");
    const screen = document.querySelector(".terminal-wrapper.active .xterm-screen");
    return screen && (!rows || rows.textContent.includes("$"));
  });
  await input.focus();
  await page.keyboard.type(line + "\n", { delay: 15 });
}

/** Waits until `probe()` (in this process) is true. */
export async function until(what, probe, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  while (!(await probe())) {
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
