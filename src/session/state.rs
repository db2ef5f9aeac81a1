//! A login that has begun: the nonce that ties a hand-off to the browser that asked for it, and
//! a count of redirects, so that a login that never sticks ends on a page and not in a loop.
//!
//! Both live in one cookie, `<nonce>.<tries>.<window start>`, times in Unix seconds. It needs no
//! signature: whoever could write it could only let themselves in as themselves.
//!
//! The `state` that a hand-off must name is `<nonce>.<number>.<code>`: the number of the last
//! revocation when the login began, proved to be of our making by a code. So a hand-off shows,
//! whatever clocks say, that it was signed after that revocation.

use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time;
use http::{HeaderMap, HeaderValue};

use super::{
    claims::unix,
    cookie::{self, STATE_COOKIE},
};
use crate::secret::{Secret, random_id};

/// How long a login may take.
const MAX_AGE: Duration = Duration::from_mins(10);
/// Seconds in which redirects are counted together.
const WINDOW: u64 = 60;
/// Redirects of one browser within the window; a person does not log in more often.
const MAX_TRIES: u32 = 5;
/// Characters of a nonce, as [`random_id`] makes them: 128 bits.
const NONCE_LENGTH: usize = 22;

/// A browser about to be sent to the login page.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The `state` that the hand-off must name.
    pub state: String,
    /// The `Set-Cookie` value that has the browser remember it.
    pub cookie: HeaderValue,
    /// How many times it was sent there within the last minute, this time included.
    pub tries: u32,
}

/// This browser was sent to the login page more than 5 times within a minute: its cookies are
/// not kept, or its hand-offs not accepted. Sending it again would only go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sent to the login page more than {MAX_TRIES} times within a minute")]
pub struct Loop;

/// Begins a login, or goes on with the one this browser began: two tabs share a nonce, so that
/// both can come back.
///
/// # Errors
/// [`Loop`] if it was sent to log in too often.
pub(super) fn begin(headers: &HeaderMap, key: &Secret, number: u64) -> Result<Begun, Loop> {
    begin_at(headers, key, number, unix(SystemTime::now()))
}

fn begin_at(headers: &HeaderMap, key: &Secret, number: u64, now: u64) -> Result<Begun, Loop> {
    let (nonce, tries, since) = match of(headers) {
        Some(State {
            nonce,
            tries,
            since,
        }) => match now.checked_sub(since) {
            Some(age) if age < WINDOW => (nonce.to_owned(), tries.saturating_add(1), since),
            _ => (nonce.to_owned(), 1, now),
        },
        None => (random_id(), 1, now),
    };
    if tries > MAX_TRIES {
        return Err(Loop);
    }
    let cookie = cookie::set(STATE_COOKIE, &format!("{nonce}.{tries}.{since}"), MAX_AGE);
    Ok(Begun {
        state: seal(&nonce, number, key),
        cookie,
        tries,
    })
}

/// A `state` of our making.
pub(super) fn seal(nonce: &str, number: u64, key: &Secret) -> String {
    format!("{nonce}.{number}.{}", code(key, nonce, number))
}

/// The nonce of a `state` of our making, and the number of the last revocation before it.
pub(super) fn open<'s>(state: &'s str, key: &Secret) -> Option<(&'s str, u64)> {
    let mut parts = state.split('.');
    let (nonce, number, given) = (parts.next()?, parts.next()?, parts.next()?);
    let number = number.parse().ok().filter(|_| parts.next().is_none())?;
    let right = code(key, nonce, number);
    let same = constant_time::verify_slices_are_equal(given.as_bytes(), right.as_bytes());
    same.is_ok().then_some((nonce, number))
}

/// 128 bits that nobody else can make.
fn code(key: &Secret, nonce: &str, number: u64) -> String {
    let parts = [b"login state", nonce.as_bytes(), &number.to_be_bytes()];
    let mut code = key.hmac_hex(&parts);
    code.truncate(32);
    code
}

/// The nonce of the login this browser began, if it did.
pub fn nonce_of(headers: &HeaderMap) -> Option<String> {
    of(headers).map(|state| state.nonce.to_owned())
}

struct State<'a> {
    nonce: &'a str,
    tries: u32,
    since: u64,
}

/// The first well-formed state cookie.
fn of(headers: &HeaderMap) -> Option<State<'_>> {
    cookie::values(headers, STATE_COOKIE).find_map(|value| {
        let mut parts = value.split('.');
        let (nonce, tries, since) = (parts.next()?, parts.next()?, parts.next()?);
        let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        let whole = parts.next().is_none() && nonce.len() == NONCE_LENGTH;
        (whole && nonce.bytes().all(fits)).then_some(())?;
        Some(State {
            nonce,
            tries: tries.parse().ok()?,
            since: since.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn key() -> Secret {
        Secret::new([7; 32])
    }

    fn begin_at(headers: &HeaderMap, now: u64) -> Result<Begun, Loop> {
        super::begin_at(headers, &key(), 7, now)
    }

    fn with(cookie: &str) -> HeaderMap {
        let value = HeaderValue::from_str(cookie).unwrap();
        HeaderMap::from_iter([(header::COOKIE, value)])
    }

    /// What the browser sends after this answer.
    fn back(begun: &Begun) -> HeaderMap {
        with(begun.cookie.to_str().unwrap().split(';').next().unwrap())
    }

    #[test]
    fn two_tabs_share_one_nonce() {
        let first = begin_at(&HeaderMap::new(), 1000).unwrap();
        let second = begin_at(&back(&first), 1010).unwrap();
        let nonce = nonce_of(&back(&first)).unwrap();
        assert_eq!(nonce_of(&back(&second)).as_ref(), Some(&nonce));
        for begun in [&first, &second] {
            assert_eq!(open(&begun.state, &key()), Some((nonce.as_str(), 7)));
        }
        assert_eq!((first.tries, second.tries), (1, 2));
    }

    #[test]
    fn nobody_else_makes_a_state_or_changes_ours() {
        let state = begin_at(&HeaderMap::new(), 1000).unwrap().state;
        let parts: Vec<&str> = state.split('.').collect();
        let (nonce, code) = (parts[0], parts[2]);
        for forged in [
            format!("{nonce}.8.{code}"),
            format!("{nonce}.6.{code}"),
            format!("{}.7.{code}", random_id()),
            format!("{nonce}.7.{}", "0".repeat(32)),
            format!("{nonce}.7."),
            format!("{nonce}.7"),
            format!("{state}.x"),
            nonce.to_owned(),
            String::new(),
        ] {
            assert_eq!(open(&forged, &key()), None, "{forged}");
        }
        assert_eq!(open(&state, &Secret::new([8; 32])), None);
    }

    #[test]
    fn the_sixth_redirect_within_a_minute_is_a_loop_and_a_minute_later_it_is_not() {
        let mut begun = begin_at(&HeaderMap::new(), 1000).unwrap();
        for second in 1..5 {
            begun = begin_at(&back(&begun), 1000 + second).unwrap();
        }
        assert_eq!(begin_at(&back(&begun), 1059).unwrap_err(), Loop);
        assert_eq!(begin_at(&back(&begun), 1060).unwrap().tries, 1);
    }

    #[test]
    fn a_cookie_that_is_not_ours_is_replaced() {
        let good = "a".repeat(22);
        for bad in [
            String::new(),
            "short.1.1000".to_owned(),
            format!("{good}.1"),
            format!("{good}.1.1000.x"),
            format!("{good}.-1.1000"),
            format!("{good}.1.x"),
            format!("{}\".1.1000", "a".repeat(21)),
        ] {
            let headers = with(&format!("{STATE_COOKIE}={bad}"));
            assert_eq!(nonce_of(&headers), None, "{bad}");
            assert_eq!(begin_at(&headers, 1000).unwrap().tries, 1, "{bad}");
        }
        let far = with(&format!("{STATE_COOKIE}={good}.4294967295.1000"));
        assert_eq!(begin_at(&far, 1000).unwrap_err(), Loop);
        let future = with(&format!("{STATE_COOKIE}={good}.5.9999999999"));
        assert_eq!(begin_at(&future, 1000).unwrap().tries, 1);
    }

    #[test]
    fn the_state_cookie_is_kept_to_this_host() {
        let cookie = begin_at(&HeaderMap::new(), 1000).unwrap().cookie;
        let text = cookie.to_str().unwrap();
        assert!(text.starts_with("__Host-vestibule-state="));
        assert!(
            text.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"),
            "{text}"
        );
    }
}
