//! A request's fields, as they come, and the request that they make (RFC 9113 8.2 and 8.3,
//! RFC 8441 4). What breaks a rule is malformed: such a request reaches nobody.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header,
    uri::{Authority, PathAndQuery, Scheme},
};

use super::{
    bounds::HEAD_LIST,
    hpack::{Field, Pseudo, is_of_a_connection},
};

/// Most fields behind a body; in front of one, whoever answers bounds them.
const MOST_TRAILERS: usize = 100;

/// In the extensions of a request that is an extended CONNECT: what the stream should carry
/// (RFC 8441 4).
#[derive(Clone, Debug)]
pub struct Protocol(Bytes);

impl Protocol {
    /// Its name.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Why a block of fields makes no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// It breaks a rule.
    Malformed,
    /// It is larger than we read.
    TooLarge,
}

/// The fields of a block.
#[derive(Default)]
pub struct Fields {
    method: Option<Bytes>,
    scheme: Option<Bytes>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
    protocol: Option<Bytes>,
    headers: HeaderMap,
    /// Bytes they count for (RFC 9113 10.5.1), and whether any broke a rule.
    size: usize,
    malformed: bool,
}

impl Fields {
    /// None yet, with room for as many as a browser sends.
    pub fn of_a_request() -> Self {
        Self {
            headers: HeaderMap::with_capacity(24),
            ..Self::default()
        }
    }

    /// Takes in the next one; of what is too large nothing is kept.
    pub fn take(&mut self, field: &Field) {
        self.size += field.size();
        if self.is_too_large() {
            return;
        }
        match field {
            Field::Regular(name, value) => {
                self.malformed |= is_barred(name, value);
                // It holds some 24,000.
                self.malformed |= self
                    .headers
                    .try_append(name.clone(), value.clone())
                    .is_err();
            }
            Field::Pseudo(which, value) => {
                let place = match which {
                    Pseudo::Method => &mut self.method,
                    Pseudo::Scheme => &mut self.scheme,
                    Pseudo::Authority => &mut self.authority,
                    Pseudo::Path => &mut self.path,
                    Pseudo::Protocol => &mut self.protocol,
                    Pseudo::Status => return self.malformed = true,
                };
                // Each once, and before all others.
                self.malformed |= !self.headers.is_empty() || place.is_some();
                *place = Some(value.clone());
            }
            Field::Malformed(_) => self.malformed = true,
        }
    }

    /// How many times as large they are as they may be.
    pub fn excess(&self) -> u32 {
        u32::try_from(self.size / HEAD_LIST as usize).unwrap_or(u32::MAX)
    }

    fn is_too_large(&self) -> bool {
        self.size > HEAD_LIST as usize
    }

    /// The request that they make.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn into_request(self) -> Result<Request<()>, HeadError> {
        if self.is_too_large() {
            return Err(HeadError::TooLarge);
        }
        self.request().ok_or(HeadError::Malformed)
    }

    fn request(self) -> Option<Request<()>> {
        if self.malformed {
            return None;
        }
        let method = Method::from_bytes(&self.method?).ok()?;
        let connect = method == Method::CONNECT;
        if connect && self.authority.is_none() {
            return None;
        }
        // A bare CONNECT has no address but that; an extended one has one like all others.
        let bare = connect && self.protocol.is_none();
        if bare && (self.scheme.is_some() || self.path.is_some()) {
            return None;
        }
        // A token, as a method is (RFC 9110 7.8).
        let is_token = |protocol: &Bytes| Method::from_bytes(protocol).is_ok();
        if self
            .protocol
            .as_ref()
            .is_some_and(|protocol| !connect || !is_token(protocol))
        {
            return None;
        }
        let mut parts = http::uri::Parts::default();
        if let Some(authority) = self.authority {
            let authority = Authority::from_maybe_shared(authority).ok()?;
            // No user information (RFC 9113 8.3.1).
            if authority.as_str().contains('@') {
                return None;
            }
            parts.authority = Some(authority);
        }
        if !bare {
            parts.scheme = Some(match &*self.scheme? {
                b"https" => Scheme::HTTPS,
                b"http" => Scheme::HTTP,
                b"" => return None,
                other => Scheme::try_from(other).ok()?,
            });
            let path = self.path?;
            let whole = method == Method::OPTIONS && *path == *b"*";
            // Fragments stay with the client (RFC 9110 4.2.5).
            if !(path.starts_with(b"/") || whole) || path.contains(&b'#') {
                return None;
            }
            parts.path_and_query = Some(PathAndQuery::from_maybe_shared(path).ok()?);
        }
        // An address without an authority is one of a path alone.
        if parts.authority.is_none() {
            parts.scheme = None;
        }
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from_parts(parts).ok()?;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.headers;
        if let Some(protocol) = self.protocol {
            request.extensions_mut().insert(Protocol(protocol));
        }
        Some(request)
    }

    /// The trailers that they are.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn into_trailers(self) -> Result<HeaderMap, HeadError> {
        if self.is_too_large() {
            return Err(HeadError::TooLarge);
        }
        let pseudo = [
            &self.method,
            &self.scheme,
            &self.authority,
            &self.path,
            &self.protocol,
        ];
        if self.malformed
            || self.headers.len() > MOST_TRAILERS
            || pseudo.iter().any(|field| field.is_some())
        {
            return Err(HeadError::Malformed);
        }
        Ok(self.headers)
    }
}

/// Whether a field may not stand in a request: one about a connection, and a `TE` that says more than
/// that trailers are welcome (RFC 9113 8.2.2).
fn is_barred(name: &HeaderName, value: &HeaderValue) -> bool {
    is_of_a_connection(name) || (*name == header::TE && value != "trailers")
}
