//! The static table (RFC 7541 appendix A), ready to be handed out. Pure.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue,
    header::{
        ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCEPT_RANGES,
        ACCESS_CONTROL_ALLOW_ORIGIN, AGE, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION,
        CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE,
        CONTENT_TYPE, COOKIE, DATE, ETAG, EXPECT, EXPIRES, FROM, HOST, IF_MATCH, IF_MODIFIED_SINCE,
        IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, LINK, LOCATION, MAX_FORWARDS,
        PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, RANGE, REFERER, REFRESH, RETRY_AFTER, SERVER,
        SET_COOKIE, STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING, USER_AGENT, VARY, VIA,
        WWW_AUTHENTICATE,
    },
};

use super::{
    Field,
    Pseudo::{self, Authority, Method, Path, Scheme, Status},
};

/// How many entries it has; the dynamic table's begin behind them (RFC 7541 2.3.3).
pub const LENGTH: usize = 61;

/// Its entries; the first has index 1.
pub static FIELDS: [Field; LENGTH] = [
    pseudo(Authority, ""),
    pseudo(Method, "GET"),
    pseudo(Method, "POST"),
    pseudo(Path, "/"),
    pseudo(Path, "/index.html"),
    pseudo(Scheme, "http"),
    pseudo(Scheme, "https"),
    pseudo(Status, "200"),
    pseudo(Status, "204"),
    pseudo(Status, "206"),
    pseudo(Status, "304"),
    pseudo(Status, "400"),
    pseudo(Status, "404"),
    pseudo(Status, "500"),
    regular(ACCEPT_CHARSET, ""),
    regular(ACCEPT_ENCODING, "gzip, deflate"),
    regular(ACCEPT_LANGUAGE, ""),
    regular(ACCEPT_RANGES, ""),
    regular(ACCEPT, ""),
    regular(ACCESS_CONTROL_ALLOW_ORIGIN, ""),
    regular(AGE, ""),
    regular(ALLOW, ""),
    regular(AUTHORIZATION, ""),
    regular(CACHE_CONTROL, ""),
    regular(CONTENT_DISPOSITION, ""),
    regular(CONTENT_ENCODING, ""),
    regular(CONTENT_LANGUAGE, ""),
    regular(CONTENT_LENGTH, ""),
    regular(CONTENT_LOCATION, ""),
    regular(CONTENT_RANGE, ""),
    regular(CONTENT_TYPE, ""),
    regular(COOKIE, ""),
    regular(DATE, ""),
    regular(ETAG, ""),
    regular(EXPECT, ""),
    regular(EXPIRES, ""),
    regular(FROM, ""),
    regular(HOST, ""),
    regular(IF_MATCH, ""),
    regular(IF_MODIFIED_SINCE, ""),
    regular(IF_NONE_MATCH, ""),
    regular(IF_RANGE, ""),
    regular(IF_UNMODIFIED_SINCE, ""),
    regular(LAST_MODIFIED, ""),
    regular(LINK, ""),
    regular(LOCATION, ""),
    regular(MAX_FORWARDS, ""),
    regular(PROXY_AUTHENTICATE, ""),
    regular(PROXY_AUTHORIZATION, ""),
    regular(RANGE, ""),
    regular(REFERER, ""),
    regular(REFRESH, ""),
    regular(RETRY_AFTER, ""),
    regular(SERVER, ""),
    regular(SET_COOKIE, ""),
    regular(STRICT_TRANSPORT_SECURITY, ""),
    regular(TRANSFER_ENCODING, ""),
    regular(USER_AGENT, ""),
    regular(VARY, ""),
    regular(VIA, ""),
    regular(WWW_AUTHENTICATE, ""),
];

const fn pseudo(which: Pseudo, value: &'static str) -> Field {
    Field::Pseudo(which, Bytes::from_static(value.as_bytes()))
}

// Of an empty value, `authorization`'s among them, nothing need be kept secret.
const fn regular(name: HeaderName, value: &'static str) -> Field {
    Field::Regular(name, HeaderValue::from_static(value))
}

/// The first index with this name, or 0.
pub fn index(name: &HeaderName) -> usize {
    let is = |field: &Field| matches!(field, Field::Regular(known, _) if known == name);
    FIELDS.iter().position(is).map_or(0, |at| at + 1)
}
