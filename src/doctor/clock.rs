//! The web application's clock and ours: a hand-off that seems to come from the future, or to
//! have ended, logs nobody in.

use std::time::SystemTime;

use http::{Method, Uri, header};

use super::{Finding, Running, web};
use crate::{
    config::Config,
    session::{self, Skew},
};

/// Seconds by which a token may come from the future.
const LEEWAY: i64 = session::LEEWAY.cast_signed();
/// Seconds that a hand-off has until it is refused: 30 of its own, as the Django example signs
/// it, and our leeway.
const LATEST: i64 = 60;
/// Seconds that are nothing to worry about: a slow click, a whole second.
const NOTHING: i64 = 10;
const TODO: &str = "synchronise the clocks of both servers (`timedatectl set-ntp true`, chrony)";

pub async fn examine(config: &Config, running: Option<&Running>) -> Vec<Finding> {
    let page = page(config).await;
    let skew = running.and_then(|running| running.sessions.skew());
    let apart = page.as_ref().ok().copied().flatten();
    vec![login_page(config, &page), clock(skew, apart)]
}

/// By how many seconds the login page's clock is ahead of ours, if it tells its time.
async fn page(config: &Config) -> Result<Option<i64>, web::WebError> {
    let url: Uri = config
        .site
        .login_url
        .parse()
        .map_err(|_| web::WebError::Address)?;
    let met = web::meet(Method::HEAD, &url, &[]).await?;
    let date = met.headers.get(header::DATE);
    let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    Ok(date.map(|date| ahead(date, SystemTime::now())))
}

fn ahead(theirs: SystemTime, ours: SystemTime) -> i64 {
    let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match theirs.duration_since(ours) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => -seconds(behind.duration()),
    }
}

fn login_page(config: &Config, page: &Result<Option<i64>, web::WebError>) -> Finding {
    let url = &config.site.login_url;
    match page {
        Ok(_) => Finding::ok("login", format!("{url} answers")),
        Err(error) => Finding::warn(
            "login",
            format!("{url} can't be reached from here: {error}"),
            "if browsers can't reach it either, nobody can log in: is `login_url` right?",
        ),
    }
}

/// What the last tokens and the login page's `Date` say together.
fn clock(skew: Option<Skew>, apart: Option<i64>) -> Finding {
    let told = match (skew, apart) {
        (Some(Skew { ahead, tokens }), Some(apart)) => format!(
            "its last {tokens} tokens were issued {}, its `Date` is {}",
            side(ahead),
            side(apart)
        ),
        (Some(Skew { ahead, tokens }), None) => {
            format!(
                "the web application's last {tokens} tokens were issued {}",
                side(ahead)
            )
        }
        (None, Some(apart)) => format!("the login page's `Date` is {}", side(apart)),
        (None, None) => {
            return Finding::ok(
                "clock",
                "nobody has logged in lately, so nothing tells the time",
            );
        }
    };
    let seen = format!("the web application's clock: {told}");
    let ahead = skew.map_or(0, |skew| skew.ahead);
    // A token can be late for other reasons than a clock; it can't be early for any.
    let late = ahead < -NOTHING && apart.is_none_or(|apart| apart < -NOTHING);
    let off = |limit: i64| apart.is_some_and(|apart| apart.abs() > limit);
    if ahead > LEEWAY || (late && ahead <= -LATEST) || off(LEEWAY) {
        Finding::fail("clock", seen, TODO)
    } else if ahead > NOTHING || late || off(NOTHING) {
        Finding::warn("clock", seen, TODO)
    } else {
        Finding::ok("clock", seen)
    }
}

fn side(ahead: i64) -> String {
    match ahead {
        0 => "just now".to_owned(),
        1.. => format!("{ahead} s ahead of ours"),
        _ => format!("{} s behind ours", -ahead),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn tokens_from_the_future_are_a_clock_and_late_ones_may_be_a_slow_click() {
        use State::{Fail, Ok, Warn};
        for (ahead, apart, expected) in [
            (None, None, Ok),
            (None, Some(1), Ok),
            (None, Some(20), Warn),
            (None, Some(-45), Fail),
            (Some(-2), Some(0), Ok),
            (Some(5), None, Ok),
            (Some(20), None, Warn),
            (Some(45), None, Fail),
            (Some(45), Some(0), Fail),
            (Some(-300), None, Fail),
            (Some(-300), Some(0), Ok),
            (Some(-300), Some(-299), Fail),
            (Some(-20), None, Warn),
        ] {
            let skew = ahead.map(|ahead| Skew { ahead, tokens: 1 });
            assert_eq!(clock(skew, apart).state, expected, "{ahead:?} {apart:?}");
        }
    }
}
