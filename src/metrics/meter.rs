//! The counters of one serving thread. Only that thread adds to them, so an addition finds its
//! cache line where it left it; a scrape reads them from outside.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::StatusCode;
use prometheus_client::{
    encoding::DescriptorEncoder,
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use tokio::runtime::Handle;

use super::encode_family;

/// Status codes have three digits from 100 to 599 (RFC 9110 15); those without a registered
/// meaning, which an app may make up, share the last slot.
const SLOTS: usize = 501;
/// What our own pages are called among the apps: no app's name begins so.
const OWN: &str = "_vestibule";
/// Upper bounds of the added time, in seconds: what a request costs us is tens of microseconds,
/// and more than a few milliseconds of work without a pause keeps others waiting.
const BOUNDS: [f64; 11] = [
    10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 100e-3,
];

/// What proved who a request is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// Our own session cookie.
    Cookie,
    /// The web application's shared cookie.
    SharedCookie,
    /// A bearer token.
    Bearer,
}

/// The counters of one serving thread.
// Nothing of another thread's shares these cache lines (two are fetched at once).
#[repr(align(128))]
pub struct Meter {
    apps: Arc<[String]>,
    runtime: Handle,
    thread: String,
    /// [`SLOTS`] for each app, and then for our own pages.
    requests: Box<[AtomicU64]>,
    entered: [AtomicU64; 3],
    /// How many took no longer than the bound of the same index, and than the one before it;
    /// the last is for what took longer than all.
    added: [AtomicU64; BOUNDS.len() + 1],
    added_nanos: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) connections: AtomicU64,
}

impl Meter {
    pub(super) fn new(apps: Arc<[String]>) -> Self {
        let zeros = || AtomicU64::new(0);
        let thread = std::thread::current();
        Self {
            requests: (0..(apps.len() + 1) * SLOTS).map(|_| zeros()).collect(),
            apps,
            runtime: Handle::current(),
            thread: thread.name().unwrap_or_default().to_owned(),
            entered: Default::default(),
            added: Default::default(),
            added_nanos: zeros(),
            received: zeros(),
            sent: zeros(),
            connections: zeros(),
        }
    }

    /// The index of the app that `path` leads to by its first segment; our own pages' otherwise.
    pub fn app(&self, path: &str) -> usize {
        let path = path.strip_prefix('/').unwrap_or_default();
        let end = memchr::memchr(b'/', path.as_bytes());
        let first = &path[..end.unwrap_or(path.len())];
        let found = self.apps.binary_search_by(|app| app.as_str().cmp(first));
        found.unwrap_or(self.apps.len())
    }

    /// A request was answered; `app` is from [`Self::app`], `spent` is our own work on it.
    pub fn answered(&self, app: usize, status: StatusCode, spent: Duration) {
        let code = status.canonical_reason().map(|_| status.as_u16());
        let code = code.and_then(|code| usize::from(code).checked_sub(100));
        let slot = code.unwrap_or(SLOTS).min(SLOTS - 1);
        if let Some(count) = self.requests.get(app * SLOTS + slot) {
            add(count, 1);
        }
        let seconds = spent.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound);
        add(&self.added[bucket.unwrap_or(BOUNDS.len())], 1);
        let nanos = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        add(&self.added_nanos, nanos);
    }

    /// A request's sender is known.
    pub fn entered(&self, by: Entered) {
        add(&self.entered[by as usize], 1);
    }
}

/// Adds to a counter that one thread alone adds to, which so needs no locked addition. (A stream's
/// bytes do: nothing keeps it on its thread.)
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

/// All threads' counters together.
pub(super) struct Sum<'a> {
    apps: &'a [String],
    requests: Vec<u64>,
    entered: [u64; 3],
    added: [u64; BOUNDS.len() + 1],
    added_nanos: u64,
    received: u64,
    sent: u64,
    connections: u64,
}

impl<'a> Sum<'a> {
    pub fn new(apps: &'a [String]) -> Self {
        Self {
            apps,
            requests: vec![0; (apps.len() + 1) * SLOTS],
            entered: [0; 3],
            added: [0; BOUNDS.len() + 1],
            added_nanos: 0,
            received: 0,
            sent: 0,
            connections: 0,
        }
    }

    pub fn add(&mut self, meter: &Meter) {
        let all = |to: &mut [u64], from: &[AtomicU64]| {
            to.iter_mut()
                .zip(from)
                .for_each(|(sum, count)| *sum += count.load(Relaxed));
        };
        all(&mut self.requests, &meter.requests);
        all(&mut self.entered, &meter.entered);
        all(&mut self.added, &meter.added);
        self.added_nanos += meter.added_nanos.load(Relaxed);
        self.received += meter.received.load(Relaxed);
        self.sent += meter.sent.load(Relaxed);
        self.connections += meter.connections.load(Relaxed);
    }

    pub fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let by_app = self.requests.chunks(SLOTS).enumerate();
        let requests = by_app.flat_map(|(app, counts)| {
            let app = self.apps.get(app).map_or(OWN, String::as_str);
            let seen = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            seen.map(move |(slot, count)| {
                let code = match slot + 100 {
                    600 => "other".to_owned(),
                    code => code.to_string(),
                };
                (
                    [("app", app.to_owned()), ("code", code)],
                    ConstCounter::new(*count),
                )
            })
        });
        let help = "Requests answered, by app (_vestibule: our own pages) and status";
        encode_family(encoder, "requests", help, requests)?;

        let names = ["cookie", "shared_cookie", "bearer"].into_iter();
        let entered = names.zip(self.entered);
        let entered = entered.map(|(by, count)| ([("by", by)], ConstCounter::new(count)));
        let help = "Requests whose sender was known, by what proved it";
        encode_family(encoder, "auth_accepted", help, entered)?;

        let mut buckets: Vec<(f64, u64)> = BOUNDS.into_iter().zip(self.added).collect();
        buckets.push((f64::INFINITY, self.added[BOUNDS.len()]));
        let help = "Time that we ourselves worked on a request, up to the head of its answer";
        let kind = MetricType::Histogram;
        encoder
            .encode_descriptor("request_added_seconds", help, None, kind)?
            .encode_histogram::<[(&str, &str); 0]>(
                Duration::from_nanos(self.added_nanos).as_secs_f64(),
                self.added.iter().sum(),
                &buckets,
                None,
            )?;

        for (name, help, value) in [
            (
                "received_bytes",
                "Bytes that clients sent, TLS included",
                self.received,
            ),
            (
                "sent_bytes",
                "Bytes sent to clients, TLS included",
                self.sent,
            ),
        ] {
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter::<[(&str, &str); 0], _, u64>(&value, None)?;
        }
        let open = [([("", ""); 0], ConstGauge::new(self.connections))];
        encode_family(encoder, "connections_open", "Connections of clients", open)
    }
}

/// How busy each thread is: one that is never idle makes its clients wait.
pub(super) fn encode_busy(
    encoder: &mut DescriptorEncoder<'_>,
    meters: &[Arc<Meter>],
) -> fmt::Result {
    let busy = meters.iter().map(|meter| {
        let busy = meter.runtime.metrics().worker_total_busy_duration(0);
        let labels = [("thread", meter.thread.as_str())];
        (labels, ConstCounter::new(busy.as_secs_f64()))
    });
    let help = "Time that a serving thread was not idle";
    encode_family(encoder, "thread_busy_seconds", help, busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_status_counts_as_itself_and_one_made_up_as_other() {
        let metrics = super::super::Metrics::new(["jupyter", "codespace"].map(str::to_owned));
        let meter = metrics.meter();
        for (path, status) in [
            ("/codespace/ann/", 200),
            ("/codespace/ann/", 200),
            ("/jupyter/ann/api", 101),
            ("/jupyter/ann/api", 299),
            ("/jupyter/ann/api", 999),
            ("/", 404),
            ("/codespac", 404),
            ("", 404),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            meter.answered(meter.app(path), status, Duration::from_micros(30));
        }
        let text = metrics.encode().unwrap();
        for line in [
            r#"vestibule_requests_total{app="codespace",code="200"} 2"#,
            r#"vestibule_requests_total{app="jupyter",code="101"} 1"#,
            r#"vestibule_requests_total{app="jupyter",code="other"} 2"#,
            r#"vestibule_requests_total{app="_vestibule",code="404"} 3"#,
            r#"vestibule_request_added_seconds_bucket{le="2.5e-05"} 0"#,
            r#"vestibule_request_added_seconds_bucket{le="5e-05"} 8"#,
            r#"vestibule_request_added_seconds_bucket{le="+Inf"} 8"#,
            "vestibule_request_added_seconds_count 8",
        ] {
            assert!(text.lines().any(|seen| seen == line), "{line} in\n{text}");
        }
    }

    #[tokio::test]
    async fn threads_are_counted_together() {
        let metrics = super::super::Metrics::new([]);
        for _ in 0..3 {
            metrics.meter().entered(Entered::Bearer);
        }
        let text = metrics.encode().unwrap();
        assert!(
            text.contains("vestibule_auth_accepted_total{by=\"bearer\"} 3\n"),
            "{text}"
        );
    }
}
