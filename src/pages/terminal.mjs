/* The terminal's page: xterm.js on a WebSocket of the page's own address. What is typed and shown
   goes in binary messages; {"size":[80,24]} and {"shown":65536} tell of the rest. */
import { FitAddon } from "./addon-fit.mjs";
import { WebLinksAddon } from "./addon-web-links.mjs";
import { Terminal } from "./xterm.mjs";

const place = document.getElementById("terminal");
const ended = document.getElementById("ended");
/* So much is shown before it is told: often enough for the window of 512 KiB. */
const TELL = 64 * 1024;
/* The server takes messages of at most 64 KiB. */
const PIECE = 16 * 1024;

const DARK = {
  background: "#1c1e28", foreground: "#eceef6", cursor: "#a9b4ff", cursorAccent: "#1c1e28",
  selectionBackground: "#454b73",
  black: "#363949", red: "#ff8f86", green: "#5fd394", yellow: "#f4b757",
  blue: "#8fa4ff", magenta: "#d8a4f5", cyan: "#6fd3de", white: "#d5d8e6",
  brightBlack: "#8a8fa6", brightRed: "#ffb1aa", brightGreen: "#8fe5b6", brightYellow: "#ffd28c",
  brightBlue: "#b5c2ff", brightMagenta: "#e8c6fb", brightCyan: "#a0e6ee", brightWhite: "#ffffff",
};
const LIGHT = {
  background: "#ffffff", foreground: "#1b1d2a", cursor: "#3d4cc0", cursorAccent: "#ffffff",
  selectionBackground: "#c3cbf5",
  black: "#1b1d2a", red: "#b3261e", green: "#18794a", yellow: "#96580a",
  blue: "#3d4cc0", magenta: "#8a2fa8", cyan: "#0b6e79", white: "#62667a",
  brightBlack: "#575b70", brightRed: "#c93a31", brightGreen: "#12693e", brightYellow: "#7d4a08",
  brightBlue: "#303c9e", brightMagenta: "#74248f", brightCyan: "#085a63", brightWhite: "#3b3f52",
};

/* A link of the container's leads elsewhere, and knows nothing of this page. */
function follow(event, address) {
  event.preventDefault();
  const safe = ["http:", "https:"].includes(new URL(address).protocol);
  if (safe) open(address, "_blank", "noopener,noreferrer");
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => (dark.matches ? DARK : LIGHT);
const terminal = new Terminal({
  cursorBlink: true,
  fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
  fontSize: 14,
  linkHandler: { activate: follow },
  macOptionIsMeta: true,
  minimumContrastRatio: 4.5,
  scrollback: 10000,
  theme: theme(),
});
dark.addEventListener("change", () => (terminal.options.theme = theme()));
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.loadAddon(new WebLinksAddon(follow));
terminal.open(place);
fit.fit();
new ResizeObserver(() => fit.fit()).observe(place);

/* Ctrl-C and Ctrl-V are the shell's; with Shift they are the person's. */
terminal.attachCustomKeyEventHandler((event) => {
  if (!event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey) return true;
  if (event.code === "KeyC") {
    if (event.type === "keydown" && terminal.hasSelection()) {
      navigator.clipboard.writeText(terminal.getSelection());
    }
    event.preventDefault();
    return false;
  }
  /* The browser pastes by itself. */
  return event.code !== "KeyV";
});

const encoder = new TextEncoder();
let socket = null;
let tries = 0;

function send(bytes) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  for (let at = 0; at < bytes.length; at += PIECE) socket.send(bytes.subarray(at, at + PIECE));
}
terminal.onData((text) => send(encoder.encode(text)));
terminal.onBinary((text) => send(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
terminal.onResize(({ cols, rows }) => {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ size: [cols, rows] }));
});

/* Says how it ended; `words` of a button lead on. */
function end(reason, words = "Open it again") {
  ended.firstElementChild.textContent = reason;
  ended.querySelector("a").textContent = words;
  ended.hidden = false;
}

function connect() {
  const address = new URL(location.pathname, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  address.search = `${terminal.cols}x${terminal.rows}`;
  const mine = new WebSocket(address);
  mine.binaryType = "arraybuffer";
  let [shown, opened] = [0, false];
  mine.addEventListener("open", () => {
    /* A shell that was kept draws itself anew. */
    if (tries > 0 && place.dataset.kept === "true") terminal.reset();
    [opened, tries] = [true, 0];
    ended.hidden = true;
    /* It may have changed meanwhile. */
    mine.send(JSON.stringify({ size: [terminal.cols, terminal.rows] }));
  });
  mine.addEventListener("message", ({ data }) => {
    terminal.write(new Uint8Array(data), () => {
      shown += data.byteLength;
      if (shown < TELL || mine.readyState !== WebSocket.OPEN) return;
      mine.send(JSON.stringify({ shown }));
      shown = 0;
    });
  });
  mine.addEventListener("close", ({ code, reason }) => {
    if (opened && reason && code !== 1012) return end(reason);
    again();
  });
  socket = mine;
}

/* The connection was lost, or refused, which a page isn't told: its own address knows more. */
async function again() {
  tries += 1;
  end("The connection is lost. It is tried again.", "Try now");
  await new Promise((then) => setTimeout(then, Math.min(30, 2 ** tries / 2) * 1000));
  const answer = await fetch(location.pathname, { cache: "no-store" }).catch(() => null);
  if (answer?.status === 401) return end("Your session has ended.", "Log in");
  if (answer?.status === 424) return end("The workspace was stopped.");
  if (answer?.status === 403 || answer?.status === 404) return location.reload();
  connect();
}

/* Another name is another shell. */
document.getElementById("another").addEventListener("click", ({ currentTarget }) => {
  const name = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
  currentTarget.href = new URL(name, new URL(currentTarget.pathname.replace(/[^/]*$/, ""), location.href));
});

addEventListener("pagehide", () => socket?.close());
/* A page that the way back brings up again has no connection. */
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

connect();
terminal.focus();
