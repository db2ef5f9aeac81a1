//! What is counted, for Prometheus: names and units by its conventions, all below `vestibule_`.
//!
//! Imports nothing of ours; every room may call into it. Promise: what a request costs here is
//! a few relaxed additions to counters of its own thread, found by index; no label's text is
//! hashed and no lock is taken on its way. No label ever has a value that a client chose.

mod meter;
mod rare;
mod spent;
mod stream;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, prometheus_text},
    metrics::info::Info,
    registry::Registry,
};

use self::meter::{Sum, encode_busy};
pub use self::{
    meter::{Entered, Meter},
    rare::{Rare, StartTimer},
    spent::spent,
    stream::Metered,
};

/// The media type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// What the name of every metric begins with.
pub const PREFIX: &str = "vestibule";

/// All that is counted in this process.
pub struct Metrics {
    registry: Registry,
    threads: Arc<Threads>,
    /// What happens too rarely to be worth a counter of each thread's own.
    pub rare: Rare,
}

/// The meters of all serving threads, and the names that their indices stand for.
struct Threads {
    /// In order; the last index stands for our own pages.
    apps: Arc<[String]>,
    meters: Mutex<Vec<Arc<Meter>>>,
}

impl Metrics {
    /// Nothing counted yet. `apps` are the first segments of paths that lead to apps.
    pub fn new(apps: impl IntoIterator<Item = String>) -> Arc<Self> {
        let mut apps: Vec<String> = apps.into_iter().collect();
        apps.sort_unstable();
        let threads = Arc::new(Threads {
            apps: apps.into(),
            meters: Mutex::default(),
        });
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        let rare = Rare::register(&mut registry);
        registry.register_collector(Box::new(Arc::clone(&threads)));
        Arc::new(Self {
            registry,
            threads,
            rare,
        })
    }

    /// The counters of the calling thread, which must be a serving one. To be called once on
    /// each, within its runtime.
    pub fn meter(&self) -> Arc<Meter> {
        let meter = Arc::new(Meter::new(Arc::clone(&self.threads.apps)));
        lock(&self.threads.meters).push(Arc::clone(&meter));
        meter
    }

    /// Everything counted, as Prometheus reads it (text exposition format 0.0.4).
    ///
    /// # Errors
    /// Only if a collector fails.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        prometheus_text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Collector for Threads {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let meters = lock(&self.meters).clone();
        let mut sum = Sum::new(&self.apps);
        for meter in &meters {
            sum.add(meter);
        }
        sum.encode(&mut encoder)?;
        encode_busy(&mut encoder, &meters)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

/// A family of metrics as a collector writes it: name, help, kind, and a value for each label
/// set.
///
/// # Errors
/// What the encoder says.
pub fn encode_family<M, L>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, M)>,
) -> fmt::Result
where
    M: prometheus_client::encoding::EncodeMetric + prometheus_client::metrics::TypedMetric,
    L: prometheus_client::encoding::EncodeLabelSet,
{
    let mut family = encoder.encode_descriptor(name, help, None, M::TYPE)?;
    for (labels, value) in values {
        value.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
