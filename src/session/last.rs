//! What a connection's last request was let in by. The next one nearly always brings the same,
//! and then costs neither a hash nor a look-up.

use std::{
    cell::RefCell,
    sync::{Arc, Weak},
    time::SystemTime,
};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::{Credential, memory::Live};

/// The token of a connection's last request, and its session, which it doesn't hold: whatever
/// ends that ends it here as well.
#[derive(Default)]
pub struct Last(RefCell<Option<Known>>);

struct Known {
    by: Credential,
    token: Box<str>,
    live: Weak<Live>,
}

impl Last {
    /// The session of a token, if it is the last one's and has not ended.
    pub(super) fn find(&self, by: Credential, token: &str, now: SystemTime) -> Option<Arc<Live>> {
        let known = self.0.borrow();
        // In constant time: a proxy in front of us may send several clients' requests by one
        // connection.
        let known = known.as_ref().filter(|known| {
            known.by == by
                && verify_slices_are_equal(known.token.as_bytes(), token.as_bytes()).is_ok()
        })?;
        let live = known.live.upgrade()?;
        (now < live.claims.expires && !live.ended.is_cancelled()).then_some(live)
    }

    pub(super) fn keep(&self, by: Credential, token: &str, live: &Arc<Live>) {
        self.0.replace(Some(Known {
            by,
            token: token.into(),
            live: Arc::downgrade(live),
        }));
    }
}
