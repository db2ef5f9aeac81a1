//! What no client would send, by chance.
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::runtime::{Builder, LocalOptions};

use super::*;

/// What is sent next; a stream is one of those there are, or the next.
#[derive(Clone, Debug)]
enum Step {
    Request(&'static str, bool),
    Data(usize, usize, bool),
    /// `RST_STREAM` or `WINDOW_UPDATE`.
    Number(u8, usize, u32),
    Any(u8, u8, usize, Vec<u8>),
}

fn steps() -> impl Strategy<Value = Step> {
    use Step::{Any, Data, Number, Request};
    let path = prop::sample::select(
        &[
            "/", "/never", "/big", "/echo", "/count", "/fault", "/slow", "x",
        ][..],
    );
    let kind = prop::sample::select(&[RST_STREAM, WINDOW_UPDATE][..]);
    let number = prop_oneof![1..1000_u32, any::<u32>()];
    prop_oneof![
        4 => (path, any::<bool>()).prop_map(|(path, end)| Request(path, end)),
        4 => (0..9_usize, 0..2000_usize, any::<bool>()).prop_map(|(on, count, end)| Data(on, count, end)),
        2 => (kind, 0..9_usize, number).prop_map(|(kind, on, number)| Number(kind, on, number)),
        1 => (0..12_u8, any::<u8>(), 0..9_usize, vec(any::<u8>(), 0..40))
            .prop_map(|(kind, flags, on, payload)| Any(kind, flags, on, payload)),
    ]
}

/// The steps as frames; stream 1 is open, and so is what was asked for in each request.
fn bytes(steps: &[Step]) -> Vec<u8> {
    let mut last = 1;
    let mut all = Vec::new();
    for step in steps {
        let id = |on: usize| (u32::try_from(2 * on).unwrap() + 1).min(last + 2);
        all.extend(match step {
            Step::Request(path, end) => {
                last += 2;
                let flags = END_HEADERS | u8::from(*end);
                frame(HEADERS, flags, last, &literals(&head("POST", path)))
            }
            Step::Data(on, count, end) => {
                frame(DATA, u8::from(*end), id(*on).min(last), &vec![0; *count])
            }
            Step::Number(kind, on, number) => {
                frame(*kind, 0, id(*on).min(last), &number.to_be_bytes())
            }
            Step::Any(kind, flags, on, payload) => {
                // Some are of the connection.
                let id = on.checked_sub(1).map_or(0, id);
                frame(*kind, *flags, id, payload)
            }
        });
    }
    all
}

proptest! {
    #[test]
    fn no_client_can_break_the_server_or_outlive_its_connection(
        steps in vec(steps(), 0..40),
        cut in prop_oneof![Just(0), 1..20_usize],
    ) {
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true);
        let runtime = runtime.build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let drops = Count::default();
            let mut client = open_guarded(&drops).await;
            client.post(1, "/never").await;
            assert!(client.is_alive().await);
            let bytes = bytes(&steps);
            client.send(&bytes[..bytes.len().saturating_sub(cut)]).await;
            client.comes(|_| false).await;
            client.hang_up().await;
            client.expect_end().await;
            settled().await;
            let asked = steps.iter().filter(|step| matches!(step, Step::Request(..))).count();
            assert!((1..=asked + 1).contains(&drops.get()), "{} of {asked}", drops.get());
        });
    }
}
