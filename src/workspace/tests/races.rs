//! Hits, stops, starts, failures of the engine, restarts of ours and time, in any order: a model
//! says what must never happen.

mod restarts;

use std::{fs, sync::Arc, time::Duration};

use proptest::{prelude::*, test_runner::TestCaseError};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Dir, engine::Made};
use crate::{
    config::Config,
    metrics::Rare,
    names::{AppName, Username},
    reaper,
    secret::Secret,
    workspace::{
        Activity, Instance, Kind, Mover, StopReason, Upstream, Visit, Workspaces, state::Life,
    },
};

const USERS: [&str; 2] = ["ann", "bob"];
const TIMEOUT: Duration = Duration::from_mins(1);
/// A look and two windows of CPU, and a little for calls.
const SLACK: Duration = Duration::from_secs(40);
const LONGEST_KEEP: Duration = Duration::from_mins(10);
const SETTINGS: &str = "[idle]\ntimeout = \"60s\"\nlongest_keep = \"10m\"\n";

#[derive(Clone, Debug)]
enum Step {
    /// Starts a workspace, and its app.
    Start(usize),
    /// Somebody comes to it; a person, or a poll; and stays.
    Hit {
        user: usize,
        input: bool,
        stays: bool,
    },
    /// All who stayed leave.
    Leave(usize),
    /// Its user stops it, waited for or not.
    Stop {
        user: usize,
        wait: bool,
    },
    Keep(usize, u64),
    Compute(usize, bool),
    Wait(u64),
    EngineFails(bool),
    EngineTakes(u64),
    /// Our end, and a new beginning.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let user = || 0..USERS.len();
    prop_oneof![
        3 => user().prop_map(Step::Start),
        6 => (user(), any::<bool>(), any::<bool>())
            .prop_map(|(user, input, stays)| Step::Hit { user, input, stays }),
        2 => user().prop_map(Step::Leave),
        1 => (user(), any::<bool>()).prop_map(|(user, wait)| Step::Stop { user, wait }),
        1 => (user(), 1_u64..300).prop_map(|(user, time)| Step::Keep(user, time)),
        2 => (user(), any::<bool>()).prop_map(|(user, on)| Step::Compute(user, on)),
        8 => prop_oneof![0_u64..2000, 0_u64..90_000].prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::EngineFails),
        1 => (0_u64..3000).prop_map(Step::EngineTakes),
        1 => Just(Step::Restart),
    ]
}

/// What must hold a user's workspace, and until when.
#[derive(Default)]
struct Model {
    /// When something held it, in order.
    held: Vec<Instant>,
    kept_until: Option<Instant>,
    was_kept: bool,
    computing: Option<Instant>,
    /// People who stayed.
    people: Vec<Activity>,
    /// Polls that stayed.
    polls: Vec<Activity>,
    /// Stops that were ours to ask for, and those that are under way.
    asked: Vec<Instant>,
    checked: usize,
}

struct House {
    dir: Dir,
    engine: Made,
    config: Config,
    workspaces: Workspaces,
    stop: CancellationToken,
    models: [Model; USERS.len()],
}

impl House {
    async fn new() -> Self {
        let dir = Dir::new();
        for user in USERS {
            fs::create_dir_all(dir.0.join("data").join(user)).unwrap();
        }
        let config = dir.config(SETTINGS);
        let engine = Made {
            who: "one",
            shared: Arc::default(),
        };
        let stop = CancellationToken::new();
        let workspaces = open(&engine, &config, &stop).await;
        Self {
            dir,
            engine,
            config,
            workspaces,
            stop,
            models: Default::default(),
        }
    }

    /// Takes a step, and looks at what came of it.
    async fn take(&mut self, step: &Step) {
        let now = Instant::now();
        match *step {
            Step::Start(user) => {
                let name = username(user);
                if self.workspaces.start(&name, None).await.is_ok() {
                    put_up(&self.workspaces, &name);
                    // What is only found running was not begun by anybody.
                    let started = self.started(user);
                    self.models[user].held.extend(started);
                }
            }
            Step::Hit { user, input, stays } => self.hit(user, input, stays),
            Step::Leave(user) => self.models[user].leave(),
            Step::Stop { user, wait } => {
                let (workspaces, name) = (self.workspaces.clone(), username(user));
                self.models[user].asked.push(now);
                let ended = async move { drop(workspaces.stop(&name, StopReason::User).await) };
                if wait {
                    ended.await;
                } else {
                    tokio::spawn(ended);
                }
            }
            Step::Keep(user, seconds) => {
                let time = Duration::from_secs(seconds);
                if self.workspaces.keep(&username(user), time).is_ok() {
                    let until = self.models[user].kept_until.max(Some(now + time));
                    self.models[user].kept_until = until;
                    self.models[user].was_kept = true;
                }
            }
            Step::Compute(user, on) => {
                let computes = self.models[user].computing.is_some();
                if !on {
                    self.models[user].stop_computing();
                }
                if on != computes {
                    self.engine.shared.compute(USERS[user], on);
                }
            }
            Step::Wait(time) => sleep(Duration::from_millis(time)).await,
            Step::EngineFails(fails) => {
                self.engine.shared.fails.send_replace(fails);
            }
            Step::EngineTakes(time) => *self.engine.shared.takes.lock().unwrap() = time,
            Step::Restart => {
                self.stop.cancel();
                self.engine.shared.fails.send_replace(false);
                // What was under way is ended, as at every end of ours.
                sleep(SLACK).await;
                let now = Instant::now();
                for model in &mut self.models {
                    (model.people, model.polls) = (Vec::new(), Vec::new());
                    model.held.push(now);
                }
                self.stop = CancellationToken::new();
                self.workspaces = open(&self.engine, &self.config, &self.stop).await;
                for user in 0..USERS.len() {
                    put_up(&self.workspaces, &username(user));
                }
            }
        }
    }

    /// When we began to count for a user's running container.
    fn started(&self, user: usize) -> Option<Instant> {
        let known = self.workspaces.known(&username(user))?;
        let ago = known.clocks.now() - known.clocks.started();
        // Both numbers were cut to milliseconds.
        Some(Instant::now() - Duration::from_millis(ago + 1))
    }

    fn hit(&mut self, user: usize, input: bool, stays: bool) {
        let kind = if input {
            Kind::Navigation
        } else {
            Kind::Request
        };
        let by = Mover {
            kind,
            ..Mover::default()
        };
        let visit = Visit {
            by,
            input,
            at: Instant::now(),
        };
        let app = app();
        let Some(upstream) = self.workspaces.upstream(&username(user), &app, &visit) else {
            return;
        };
        let container = self.engine.shared.by_id(&upstream.container).unwrap();
        assert!(container.runs(), "a hit found a dead container");
        assert!(!upstream.closed.is_cancelled(), "a hit found a closed app");
        let model = &mut self.models[user];
        if input {
            model.held.push(Instant::now());
        }
        if stays {
            let held = if input {
                &mut model.people
            } else {
                &mut model.polls
            };
            held.push(upstream.activity(visit));
        }
    }

    /// Looks at every stop that the engine was asked for since the last look.
    fn check(&mut self) -> Result<(), TestCaseError> {
        for (user, model) in USERS.iter().zip(&mut self.models) {
            let Some(one) = self.engine.shared.of(user) else {
                continue;
            };
            let checked = std::mem::replace(&mut model.checked, one.stops.len());
            for (who, at) in &one.stops[checked..] {
                prop_assert_eq!(*who, "one", "stopped by a stranger");
                // One that somebody asked for may come late, since calls take time.
                if model
                    .asked
                    .iter()
                    .any(|asked| asked <= at && *at - *asked < TIMEOUT)
                {
                    model.kept_until = None;
                    continue;
                }
                prop_assert!(model.people.is_empty(), "{user} stopped under a person");
                // What came while it was being stopped began it anew.
                let before = model.held.iter().filter(|held| *held <= at).max();
                let quiet = before.map(|held| *at - *held);
                prop_assert!(
                    quiet.is_none_or(|quiet| quiet >= TIMEOUT),
                    "{user} after {quiet:?}"
                );
                prop_assert!(
                    model.kept_until.is_none_or(|until| *at >= until),
                    "{user} was kept"
                );
                let computing = model.computing.map(|since| *at - since);
                prop_assert!(
                    computing.is_none_or(|time| time < SLACK),
                    "{user} while computing for {computing:?}"
                );
                model.kept_until = None;
            }
            model.computing = one.computes();
        }
        prop_assert_eq!(
            self.engine.shared.instances_that_were_stopped_by_another(),
            0
        );
        Ok(())
    }

    /// Once everybody has left and nothing computes, everything is stopped in time.
    async fn end(&mut self) -> Result<(), TestCaseError> {
        self.engine.shared.fails.send_replace(false);
        *self.engine.shared.takes.lock().unwrap() = 1;
        let mut kept = Duration::ZERO;
        for (user, model) in USERS.iter().zip(&mut self.models) {
            self.engine.shared.compute(user, false);
            model.stop_computing();
            model.leave();
            // What is remembered is told in a time that doesn't pause: it may come back whole.
            if model.was_kept {
                kept = LONGEST_KEEP;
            }
        }
        sleep(kept + TIMEOUT + 2 * SLACK).await;
        self.check()?;
        for user in USERS {
            let runs = self.engine.shared.of(user).is_some_and(|one| one.runs());
            let explained = self.workspaces.explain(&Username::parse(user).unwrap());
            prop_assert!(!runs, "{} runs for ever: {:#?}", user, explained);
        }
        Ok(())
    }
}

impl Model {
    /// All who stayed leave.
    fn leave(&mut self) {
        if !self.people.is_empty() {
            self.held.push(Instant::now());
        }
        self.people.clear();
        self.polls.clear();
    }

    /// What computed long enough to be measured has held until a window before its end.
    fn stop_computing(&mut self) {
        if let Some(since) = self.computing.take()
            && since.elapsed() > SLACK
        {
            self.held.push(Instant::now() - SLACK);
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
        assert!(self.dir.0.exists());
    }
}

async fn open(engine: &Made, config: &Config, stop: &CancellationToken) -> Workspaces {
    let instance = Instance {
        id: engine.who.to_owned(),
        key: Secret::new(vec![1; 32]),
    };
    let (engine, count) = (Arc::new(engine.clone()), Rare::default());
    let workspaces = Workspaces::open(engine, config, instance, count, stop.clone());
    let workspaces = workspaces.await.unwrap();
    tokio::spawn(reaper::run(workspaces.clone(), stop.clone()));
    workspaces
}

fn username(user: usize) -> Username {
    Username::parse(USERS[user]).unwrap()
}

fn app() -> AppName {
    AppName::parse("codespace").unwrap()
}

/// Has an app run, as if its command had been run and had answered.
fn put_up(workspaces: &Workspaces, user: &Username) -> Option<Arc<Upstream>> {
    let workspace = workspaces.known(user)?;
    let mut state = workspace.write();
    if !matches!(state.life, Life::Running(_)) {
        return None;
    }
    let slot = state.slot_mut(&app());
    slot.upstream.get_or_insert_default();
    workspaces.running_app(&workspace, &state, &app())
}

/// Runs a story in a paused clock, which goes on whenever nobody has anything to do.
fn in_paused_time<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(story)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nobody_is_stopped_early_and_nothing_runs_for_ever(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        in_paused_time(async {
            let mut house = House::new().await;
            for step in &steps {
                house.take(step).await;
                house.check()?;
            }
            house.end().await
        })?;
    }
}
