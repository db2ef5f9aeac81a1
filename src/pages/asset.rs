//! The files that our pages load, kept in the binary.

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

/// The file of this name below `/_vestibule/assets/`, if there is one.
pub fn asset(name: &str) -> Option<Asset> {
    const CSS: &[u8] = include_bytes!("page.css");
    const JS: &[u8] = include_bytes!("page.js");
    const MARK: &[u8] = include_bytes!("favicon.svg");
    let (content_type, bytes, print) = match name {
        "page.css" => ("text/css; charset=utf-8", CSS, const { fnv1a(CSS) }),
        "page.js" => ("text/javascript; charset=utf-8", JS, const { fnv1a(JS) }),
        "favicon.svg" => ("image/svg+xml", MARK, const { fnv1a(MARK) }),
        _ => return None,
    };
    let etag = format!("\"{print:016x}\"");
    Some(Asset {
        content_type,
        bytes,
        etag,
    })
}

/// The 64-bit FNV-1a hash. It only has to tell our own builds apart, so nobody attacks it,
/// and it can be worked out by the compiler.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        // A lossless widening: `u64::from` isn't const.
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}
