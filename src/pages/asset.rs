//! The files that our pages load, kept in the binary.

use std::{collections::HashMap, sync::LazyLock};

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// What xterm.js and its add-ons may only be given away with.
const XTERM_LICENSES: &str = concat!(
    include_str!("xterm/LICENSE.xterm"),
    include_str!("xterm/LICENSE.addon-fit"),
    include_str!("xterm/LICENSE.addon-web-links"),
);

/// A file that our pages load.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
    /// Its entity tag with the quotes around it (RFC 9110 8.8.3); another content has another.
    pub etag: String,
}

static ASSETS: LazyLock<HashMap<&str, Asset>> = LazyLock::new(|| {
    let files: [(_, _, &'static [u8]); 10] = [
        ("page.css", CSS, include_bytes!("page.css")),
        ("page.js", JS, include_bytes!("page.js")),
        (
            "favicon.svg",
            "image/svg+xml",
            include_bytes!("favicon.svg"),
        ),
        ("terminal.css", CSS, include_bytes!("terminal.css")),
        ("terminal.mjs", JS, include_bytes!("terminal.mjs")),
        ("xterm.css", CSS, include_bytes!("xterm/xterm.css")),
        ("xterm.mjs", JS, include_bytes!("xterm/xterm.mjs")),
        ("xterm-licenses.txt", TEXT, XTERM_LICENSES.as_bytes()),
        ("addon-fit.mjs", JS, include_bytes!("xterm/addon-fit.mjs")),
        (
            "addon-web-links.mjs",
            JS,
            include_bytes!("xterm/addon-web-links.mjs"),
        ),
    ];
    let assets = files.map(|(name, content_type, bytes)| {
        let etag = format!("\"{:016x}\"", fnv1a(bytes));
        let asset = Asset {
            content_type,
            bytes,
            etag,
        };
        (name, asset)
    });
    assets.into()
});

/// The file of this name below `/_vestibule/assets/`, if there is one.
pub fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.get(name)
}

/// The 64-bit FNV-1a hash. It only has to tell our own builds apart, so nobody attacks it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
