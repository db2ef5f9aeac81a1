//! A cookie that an app sets, held within the app's own paths (RFC 6265 4.1).

use http::HeaderValue;

use super::response::{ForResponse, is_crooked, within};

/// Holds a `Set-Cookie` within the app's part of the site; `None` if it may not be set at all.
pub fn confine(cookie: &HeaderValue, of: &ForResponse<'_>) -> Option<HeaderValue> {
    let mut parts = cookie.as_bytes().split(|byte| *byte == b';');
    let pair = parts.next()?.trim_ascii();
    if is_forbidden(pair, of) {
        return None;
    }
    let mut out = pair.to_vec();
    let mut path = None;
    for attribute in parts
        .map(<[u8]>::trim_ascii)
        .filter(|attribute| !attribute.is_empty())
    {
        let mut halves = attribute.splitn(2, |byte| *byte == b'=');
        let name = halves
            .next()
            .unwrap_or_default()
            .trim_ascii()
            .to_ascii_lowercase();
        match name.as_slice() {
            // The last one counts (RFC 6265 5.3).
            b"path" => path = Some(halves.next().unwrap_or_default().trim_ascii()),
            // Without it, the cookie is for this host alone. `Secure` is set below.
            b"domain" | b"secure" => {}
            _ => {
                out.extend_from_slice(b"; ");
                out.extend_from_slice(attribute);
            }
        }
    }
    out.extend_from_slice(b"; Path=");
    out.extend_from_slice(confined(path, of).as_bytes());
    if of.origin.starts_with("https:") {
        out.extend_from_slice(b"; Secure");
    }
    HeaderValue::from_bytes(&out).ok()
}

/// Ours, one that we alone tell the app, or one that is for the whole host by its name
/// (`__Host-`, RFC 6265bis 4.1.3.2) and so can't be held to a path.
fn is_forbidden(pair: &[u8], of: &ForResponse<'_>) -> bool {
    let name = pair
        .split(|byte| *byte == b'=')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    // A cookie without a name is sent as its value, which may look like another cookie.
    let value = pair.get(name.len()..).unwrap_or_default();
    let nameless = name.is_empty() || value.is_empty();
    let own = of.own_cookies.iter().map(String::as_str);
    let set = of.set_cookies.iter().map(|(name, _)| name.as_str());
    nameless
        || name.to_ascii_lowercase().starts_with(b"__host-")
        || own
            .chain(set)
            .any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
}

fn confined(path: Option<&[u8]>, of: &ForResponse<'_>) -> String {
    let whole = format!("{}/", of.prefix);
    let path = path
        .and_then(|path| str::from_utf8(path).ok())
        .unwrap_or_default();
    // A username's `%` can't occur, so a path with one is no prefix of ours.
    if is_crooked(path) || !path.starts_with('/') || path.starts_with("//") {
        whole
    } else if within(path, of.prefix) {
        // Without the slash it would be for the same paths, and for `/codespace/alicex` in
        // no browser; yet a slash makes that plain.
        if path == of.prefix {
            whole
        } else {
            path.to_owned()
        }
    } else if of.strip {
        format!("{}{path}", of.prefix)
    } else {
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(cookie: &str, strip: bool) -> Option<String> {
        let of = ForResponse {
            prefix: "/codespace/alice",
            strip,
            origin: "https://ide.test",
            own_cookies: &[
                "__Host-vestibule-session".to_owned(),
                "sessionid".to_owned(),
            ],
            set_cookies: &[("code-server-session".to_owned(), "secret".to_owned())],
            frame_ancestors: &[],
        };
        let confined = confine(&HeaderValue::try_from(cookie).unwrap(), &of)?;
        Some(confined.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_is_for_its_own_workspace_alone() {
        for (cookie, strip, expected) in [
            ("a=1", true, Some("a=1; Path=/codespace/alice/; Secure")),
            (
                "a=1; Path=/; HttpOnly",
                true,
                Some("a=1; HttpOnly; Path=/codespace/alice/; Secure"),
            ),
            (
                "a=1; Path=/x",
                true,
                Some("a=1; Path=/codespace/alice/x; Secure"),
            ),
            (
                "a=1; path=/x",
                false,
                Some("a=1; Path=/codespace/alice/; Secure"),
            ),
            (
                "a=1; Path=/codespace/alice/lab",
                false,
                Some("a=1; Path=/codespace/alice/lab; Secure"),
            ),
            (
                "a=1; Path=/codespace/alice/x; Path=/",
                false,
                Some("a=1; Path=/codespace/alice/; Secure"),
            ),
            (
                "a=1; Path=/codespace/bob/",
                false,
                Some("a=1; Path=/codespace/alice/; Secure"),
            ),
            (
                "a=1; Path=/codespace/alice/../bob",
                false,
                Some("a=1; Path=/codespace/alice/; Secure"),
            ),
            (
                "a=1; Domain=test; SameSite=Lax; secure",
                true,
                Some("a=1; SameSite=Lax; Path=/codespace/alice/; Secure"),
            ),
            (
                "a=; Max-Age=0",
                true,
                Some("a=; Max-Age=0; Path=/codespace/alice/; Secure"),
            ),
            ("__Host-vestibule-session=x", true, None),
            ("__HOST-vestibule-session=x", true, None),
            ("__Host-other=x; Path=/", true, None),
            ("SessionID=x", true, None),
            ("code-server-session=x", true, None),
            ("=__Host-vestibule-session=x", true, None),
            ("nameless", true, None),
        ] {
            assert_eq!(set(cookie, strip).as_deref(), expected, "{cookie}");
        }
    }

    proptest! {
        #[test]
        fn no_cookie_gets_out_of_its_workspace(tail in "(; ?|=|/|\\.\\.|%2e|path|domain|PATH|codespace|bob|alice|\"){0,14}") {
            for strip in [true, false] {
                if let Some(set) = set(&format!("a=1;{tail}"), strip) {
                    let attributes = set.split(';').map(|part| part.trim().to_lowercase());
                    let paths: Vec<_> = attributes.clone().filter(|part| part.split('=').next().map(str::trim) == Some("path")).collect();
                    prop_assert_eq!(paths.len(), 1);
                    prop_assert!(paths[0].starts_with("path=/codespace/alice/"), "{}", set);
                    prop_assert!(!paths[0].contains(".."));
                    prop_assert!(!attributes.clone().any(|part| part.starts_with("domain=")));
                }
            }
        }
    }
}
