//! Addresses that an upstream writes into its answers, mapped to where the browser finds them.
//!
//! Imports nothing of ours. Promise: an address of another host is never changed, a relative
//! one neither; works on bytes, since browsers accept more than ASCII here.

/// Whose addresses are mapped, and how.
#[derive(Clone, Copy)]
pub struct Map<'a> {
    /// `/<app>/<user>`, without a slash at the end.
    pub prefix: &'a str,
    /// Whether the upstream doesn't know of the prefix.
    pub strip: bool,
    /// Our host, with the port if the browser wrote one.
    pub origin_authority: &'a str,
    /// Whether the browser came by HTTPS.
    pub https: bool,
    /// The upstream's own address.
    pub upstream_authority: &'a str,
}

impl Map<'_> {
    /// The path the browser needs for an address of the upstream; `None` if the address may
    /// stay as it is. A path alone is enough: the browser adds the scheme and host it used,
    /// which the upstream needn't know.
    pub fn path(&self, address: &[u8]) -> Option<Vec<u8>> {
        let address = address.trim_ascii();
        if let [b'/', rest @ ..] = address {
            // `//host` and, to a browser, `/\host` name another host.
            let another = matches!(rest, [b'/' | b'\\', ..]);
            return (!another).then(|| self.mapped(address))?;
        }
        let (scheme, rest) = split_scheme(address)?;
        let end = rest.iter().position(|byte| b"/?#\\".contains(byte));
        let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
        if !self.is_ours(authority, scheme) {
            return None;
        }
        let path = match path {
            [b'/', ..] => path.to_vec(),
            _ => [b"/", path].concat(),
        };
        // A path that begins so would name another host once it stands alone.
        if matches!(path[..], [b'/', b'/' | b'\\', ..]) && !self.strip {
            return None;
        }
        Some(self.mapped(&path).unwrap_or(path))
    }

    /// Where a path of the upstream lies for the browser, if elsewhere.
    fn mapped(&self, path: &[u8]) -> Option<Vec<u8>> {
        let prefix = self.prefix.as_bytes();
        let end = path.iter().position(|byte| b"?#".contains(byte));
        let bare = &path[..end.unwrap_or(path.len())];
        // Some apps build on X-Forwarded-Prefix although they don't see it in their path.
        (self.strip && !is_within(bare, prefix)).then(|| [prefix, path].concat())
    }

    fn is_ours(&self, authority: &[u8], scheme: Scheme) -> bool {
        let ours = if self.https {
            Scheme::Https
        } else {
            Scheme::Http
        };
        let origin = ours.without_default_port(self.origin_authority.as_bytes());
        // Whatever the scheme: an app behind TLS that isn't its own often writes `http`.
        scheme
            .without_default_port(authority)
            .eq_ignore_ascii_case(origin)
            || authority.eq_ignore_ascii_case(self.upstream_authority.as_bytes())
    }
}

/// Whether a path is the prefix or below it.
pub fn is_within(path: &[u8], prefix: &[u8]) -> bool {
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Whether a path means to every reader what it says: no dot segments, nothing escaped, no
/// backslash, and no tab, which browsers take out of an address before they read it.
pub fn is_plain(path: &[u8]) -> bool {
    let dots = |segment: &[u8]| segment == b"." || segment == b"..";
    let odd = |byte: &u8| matches!(byte, b'%' | b'\\' | 0x7f) || *byte <= b' ';
    !path.iter().any(odd) && !path.split(|byte| *byte == b'/').any(dots)
}

/// The header value of a `Refresh` whose address is mapped; `None` if it may stay.
/// <https://html.spec.whatwg.org/multipage/semantics.html#attr-meta-http-equiv-refresh>
pub fn refresh(value: &[u8], map: &Map<'_>) -> Option<Vec<u8>> {
    let separator = value.iter().position(|byte| b";,".contains(byte))?;
    let (delay, rest) = (&value[..separator], value[separator + 1..].trim_ascii());
    let address = match rest.get(..3) {
        Some(word) if word.eq_ignore_ascii_case(b"url") => {
            let after = rest[3..].trim_ascii_start();
            // Without the equals sign it is an address that begins with these letters.
            after
                .strip_prefix(b"=")
                .map_or(rest, <[u8]>::trim_ascii_start)
        }
        _ => rest,
    };
    let address = match address {
        [quote @ (b'"' | b'\''), rest @ ..] => rest.split(|byte| byte == quote).next()?,
        _ => address,
    };
    let mapped = map.path(address)?;
    Some([delay, b"; url=", &mapped].concat())
}

#[derive(Clone, Copy)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn without_default_port(self, authority: &[u8]) -> &[u8] {
        let port: &[u8] = match self {
            Self::Http => b":80",
            Self::Https => b":443",
        };
        authority.strip_suffix(port).unwrap_or(authority)
    }
}

fn split_scheme(address: &[u8]) -> Option<(Scheme, &[u8])> {
    let colon = address.iter().position(|byte| *byte == b':')?;
    let scheme = &address[..colon];
    let rest = address[colon + 1..].strip_prefix(b"//")?;
    if scheme.eq_ignore_ascii_case(b"https") {
        Some((Scheme::Https, rest))
    } else if scheme.eq_ignore_ascii_case(b"http") {
        Some((Scheme::Http, rest))
    } else {
        None
    }
}
