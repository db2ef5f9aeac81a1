// The terminal as a person uses it: from the home page's button to a command and what it prints;
// sizes, colours, links, copy and paste, a reload that comes back to the same shell.

import { logIn, ORIGIN, scenario, SITE, until, USERNAME } from "./person.mjs";

const SIZES = { desk: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

await scenario("terminal", async (page, step, shot) => {
  const blocked = [];
  const strict = (page) =>
    page.on("console", (message) => {
      if (/Content Security Policy/.test(message.text())) blocked.push(message.text());
    });
  strict(page);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: ORIGIN });
  await page.goto(SITE);
  await logIn(page);
  await page.goto(ORIGIN);
  await page.click(".app:has-text('Open Terminal')");

  // What the screen shows, as xterm.js draws it.
  const screen = (of = page) => of.locator(".xterm-rows").innerText();
  const shows = (text, of = page) => until(`${text} is shown`, async () => (await screen(of)).includes(text));
  const types = (line) => page.keyboard.type(line + "\n", { delay: 10 });
  await page.locator(".xterm-screen").waitFor();
  await shows("$");
  step("a prompt is drawn");

  await types("printf 'made in %s, %s\\n' $(basename $HOME) 'thé'");
  await shows("made in user, thé");
  step("a command answers");

  await types("printf '\\e[31mred\\e[0m \\e[38;2;90;160;250mblue\\e[0m \\e[7mback\\e[0m\\n'; ls --color -d /tmp /etc/hosts");
  const colour = (word) =>
    page.locator(".xterm-rows span", { hasText: new RegExp(`^${word}$`) }).last()
      .evaluate((span) => getComputedStyle(span).color);
  await until("colours are drawn", async () => (await colour("red")) !== (await colour("blue")).trim());
  step("in colours");

  // Nothing in there acts out here.
  const title = await page.title();
  await types("printf '\\e]0;not the title\\a\\e]52;c;bm90IHRoZSBjbGlwYm9hcmQ=\\a'; echo har'mless'");
  await shows("harmless");
  if ((await page.title()) !== title) throw new Error("the title was changed");
  if ((await page.evaluate(() => navigator.clipboard.readText())) === "not the clipboard") throw new Error("OSC 52");
  step("sequences of escape stay in the terminal");

  const columns = async () => {
    await types("clear; echo w=$(tput cols)x$(tput lines).");
    let told;
    // Kept as it was seen: what a changed size moves about may be gone in the next moment.
    await until("the size is told", async () => (told = /w=(\d+)x(\d+)\./.exec(await screen())));
    return Number(told[1]);
  };
  const wide = await columns();
  await page.setViewportSize({ width: 800, height: 600 });
  await until("the shell follows", async () => (await columns()) < wide);
  await page.setViewportSize(SIZES.desk);
  step("it follows the window's size");

  await types("clear; echo see ${ORIGIN:-https}://www.example.org/page for more");
  await shows("see https://www.example.org/page");
  await page.context().route("https://www.example.org/**", (route) => route.fulfill({ body: "elsewhere" }));
  const link = page.locator(".xterm-rows > div", { hasText: /^see https/ });
  const box = await link.boundingBox();
  await page.mouse.move(box.x + 100, box.y + box.height / 2, { steps: 5 });
  const [opened] = await Promise.all([
    page.context().waitForEvent("page"),
    page.mouse.click(box.x + 100, box.y + box.height / 2),
  ]);
  await opened.waitForLoadState();
  if (await opened.evaluate(() => window.opener !== null || document.referrer)) throw new Error("it knows us");
  await opened.close();
  step("a link opens, and knows nothing of us");

  await page.mouse.dblclick(box.x + 10, box.y + box.height / 2);
  await page.keyboard.press("Control+Shift+C");
  await until("it is copied", async () => (await page.evaluate(() => navigator.clipboard.readText())) === "see");
  await page.evaluate(() => navigator.clipboard.writeText("echo pas''ted"));
  await page.keyboard.press("Control+Shift+V");
  await shows("echo pas''ted");
  await page.keyboard.press("Enter");
  await shows("\npasted");
  step("copied and pasted");

  await types("kept=remembered; seq 1 300");
  await shows("300");
  await page.reload();
  await shows("300");
  await types("echo it is $kept");
  await shows("it is remembered");
  await page.mouse.move(640, 400);
  // Between what scrolled away and what is shown there is no gap, at most the line of a prompt.
  for (const rows of [/\n254\n255\n\s*256\n/, /\n150\n151\n/]) {
    await until(`${rows} is scrolled to`, async () => {
      await page.mouse.wheel(0, -100);
      return rows.test(await screen());
    });
  }
  await types("");
  step("a reload comes back to the same shell, and to what scrolled away");

  await types("clear");
  step("restart the server");
  await page.locator("#ended:has-text('The connection is lost')").waitFor();
  await shot("lost");
  await page.locator("#ended").waitFor({ state: "hidden" });
  await types("echo still $kept");
  await shows("still remembered");
  step("it comes back by itself after a restart");

  await types("clear; ls --color -la ~ /; vi -u NONE /etc/passwd");
  await shows("root:x:0:0");
  await types(":q!");
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme });
      await types("clear; ls --color -la ~ /; printf '\\e[1;32mok\\e[0m \\e[33mwarn\\e[0m \\e[31mbad\\e[0m\\n'");
      await shows("ok warn bad");
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wider > 0) throw new Error(`${size}: ${wider} pixels too wide`);
      await shot(`${size}-${colorScheme}`);
    }
  }
  await page.setViewportSize(SIZES.desk);
  step("it fits a phone and a desk");

  const [another] = await Promise.all([page.context().waitForEvent("page"), page.click("text=New terminal")]);
  strict(another);
  await shows("$", another);
  await another.keyboard.type("echo \"it is <$kept>\"; exit 4\n", { delay: 10 });
  await another.locator("#ended:has-text('exit code 4')").waitFor();
  await another.screenshot({ path: `${process.env.SHOTS}/terminal-ended.png` });
  if (!/^\/terminal\/[^/]+\/[a-z0-9]+$/.test(new URL(another.url()).pathname)) throw new Error(another.url());
  await another.click("text=Open it again");
  await shows("$", another);
  await another.close();
  step("another terminal is another shell; its end is told");

  const home = await page.context().newPage();
  await home.goto(ORIGIN);
  await home.click("button:has-text('Stop the workspace')");
  await page.locator("#ended:has-text('The workspace was stopped')").waitFor();
  await page.click("text=Open it again");
  await shows("$");
  await home.goto(ORIGIN);
  await home.click("button:has-text('Log out')");
  await page.locator("#ended:has-text('Your session has ended')").waitFor();
  if (blocked.length) throw new Error(blocked.join("\n"));
  step(`${USERNAME}'s terminal ended with the workspace, and with the session`);
});
