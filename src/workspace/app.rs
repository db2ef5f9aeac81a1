//! An app in a running container: its command, and the wait for its first answer.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Workspaces,
    phase::{Cause, Step},
    probe::{self, Probe},
    start::{Attempt, LOG_LINES},
    state::{Live, Workspace},
    upstream::{Upstream, next_id},
};
use crate::{config::App, names::AppName};

/// The pauses between two looks at an app that starts: short at first, as most are quick.
const FIRST_PAUSE: Duration = Duration::from_millis(30);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// Longest a look at the log may take.
const LOG_TIME: Duration = Duration::from_secs(5);

/// Runs an app as the leader of its process group, which every exec is (runc `nsexec.c` calls
/// setsid(2)), noted in a file, so that all of it can be ended. What is left of an earlier try is
/// ended first: it may hold the port. The note bears the container's run, since a process id
/// means nothing in the next one. Arguments: app, run, command ....
const RUN: &str = r#"
note=/tmp/.vestibule-$1-$2.pid log=/tmp/.vestibule-$1.log
if [ -s "$note" ]; then
  old=$(cat "$note")
  kill -KILL "-$old" 2>/dev/null
  for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "-$old" 2>/dev/null || break; sleep 0.1; done
fi
rm -f "/tmp/.vestibule-$1-"*.pid
echo $$ > "$note"
shift 2
exec "$@" > "$log" 2>&1
"#;

/// Ends an app that was run by [`RUN`]. Arguments: app, run.
const END: &str = r#"
note=/tmp/.vestibule-$1-$2.pid
[ -s "$note" ] && kill -KILL "-$(cat "$note")" 2>/dev/null
rm -f "$note"
"#;

impl Workspaces {
    /// Has an app run in a running container.
    pub(super) async fn app(&self, attempt: &Attempt, live: &Live) -> Result<Arc<Upstream>, Cause> {
        let Attempt { workspace, app, .. } = attempt;
        let Some(config) = self.0.apps.get(app) else {
            return Err(Cause::NoSuchApp(app.clone()));
        };
        let upstream = self.upstream_of(workspace, app, config, live);
        let probe = self.probe(&upstream, config);
        // It may run already: started before we were, or given up on too early.
        if upstream.while_open(probe.answers()).await {
            return accept(workspace, live, upstream, None);
        }
        attempt.tell(Step::Command);
        let exec = self.run_command(&upstream, config, live).await?;
        attempt.tell(Step::Ready);
        let mut last = None;
        let ready = self.wait_until_ready(&probe, config, live, &exec, &mut last);
        let limit = self.0.config.ready_timeout;
        match timeout(limit, ready).await {
            Ok(Ok(())) => accept(workspace, live, upstream, Some(exec)),
            Ok(Err(cause)) => Err(cause),
            Err(_) => {
                let end = ["sh", "-c", END, "end", app.as_str(), &live.run()].map(str::to_owned);
                if let Err(error) = self.0.engine.output(&live.id, &end).await {
                    tracing::warn!(%error, "an app that never answered may still run");
                }
                let (port, after) = (config.port, limit.as_secs());
                Err(match last {
                    Some(status) => Cause::NeverWell {
                        port,
                        path: probe.path,
                        status,
                        after,
                    },
                    None => Cause::NeverReady { port, after },
                })
            }
        }
    }

    /// The app as it is or would be in a running container.
    pub(super) fn upstream_of(
        &self,
        workspace: &Workspace,
        app: &AppName,
        config: &App,
        live: &Live,
    ) -> Arc<Upstream> {
        let parts = [live.id.as_bytes(), app.as_str().as_bytes()];
        let secret = self.0.instance.key.hmac_hex(&parts);
        let prefix = format!("/{app}/{}", workspace.user);
        let slash = format!("{prefix}/");
        let fill = |template: &str| App::fill(template, workspace.user.as_str(), &slash, &secret);
        let headers = config.headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::try_from(name).ok()?;
            let mut value = HeaderValue::try_from(fill(value)).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        });
        let cookies = config.cookies.iter();
        let cookies = cookies.map(|(name, value)| (name.clone(), fill(value)));
        let addr = SocketAddr::from((live.addr, config.port));
        Arc::new(Upstream {
            id: next_id(),
            user: workspace.user.clone(),
            app: app.clone(),
            addr,
            authority: addr.to_string(),
            headers: headers.collect(),
            cookies: cookies.collect(),
            prefix,
            container: Arc::clone(&live.id),
            secret,
            closed: live.closed.child_token(),
            clocks: Arc::clone(&workspace.clocks),
            settle: self.0.pace.settle,
        })
    }

    pub(super) fn probe(&self, upstream: &Upstream, config: &App) -> Probe {
        Probe::new(upstream.addr, &self.0.authority, config, fill(upstream))
    }

    async fn run_command(
        &self,
        upstream: &Upstream,
        config: &App,
        live: &Live,
    ) -> Result<String, Cause> {
        let fill = fill(upstream);
        let run = live.run();
        let wrapper = ["sh", "-c", RUN, "run", upstream.app.as_str(), &run];
        let command = wrapper.into_iter().map(str::to_owned);
        let command: Vec<String> = command
            .chain(config.command.iter().map(|word| fill(word)))
            .collect();
        let env = config
            .env
            .iter()
            .map(|(name, value)| format!("{name}={}", fill(value)));
        let env: Vec<String> = env.collect();
        Ok(self.0.engine.exec(&live.id, &command, &env).await?)
    }

    async fn wait_until_ready(
        &self,
        probe: &Probe,
        config: &App,
        live: &Live,
        exec: &str,
        last: &mut Option<u16>,
    ) -> Result<(), Cause> {
        let began = Instant::now();
        loop {
            *last = tokio::select! {
                biased;
                () = live.closed.cancelled() => return Err(Cause::ContainerEnded),
                status = probe.status() => status,
            };
            if last.is_some_and(probe::is_good) {
                return Ok(());
            }
            if let Some(code) = self.0.engine.exec_ended(exec).await? {
                return Err(Cause::AppExited {
                    program: config.command.first().cloned().unwrap_or_default(),
                    code,
                });
            }
            sleep((began.elapsed() / 8).clamp(FIRST_PAUSE, LONGEST_PAUSE)).await;
        }
    }

    /// What the app wrote last, if it came as far as that.
    pub(super) async fn last_words(&self, attempt: &Attempt, cause: &Cause) -> Vec<String> {
        if !matches!(
            cause,
            Cause::AppExited { .. }
                | Cause::NeverReady { .. }
                | Cause::NeverWell { .. }
                | Cause::OutOfMemory
        ) {
            return Vec::new();
        }
        let live = match &attempt.workspace.read().life {
            super::Life::Running(live) => live.clone(),
            _ => return Vec::new(),
        };
        let lines = LOG_LINES.to_string();
        let log = format!("/tmp/.vestibule-{}.log", attempt.app);
        let tail = ["tail", "-n", &lines, &log].map(str::to_owned);
        let words = timeout(LOG_TIME, self.0.engine.output(&live.id, &tail)).await;
        let words = words.ok().and_then(Result::ok).unwrap_or_default();
        words.lines().map(str::to_owned).collect()
    }
}

/// Fills in an app's templates for this one.
fn fill(upstream: &Upstream) -> impl Fn(&str) -> String {
    let prefix = format!("{}/", upstream.prefix);
    move |template| App::fill(template, upstream.user.as_str(), &prefix, &upstream.secret)
}

/// Lets requests through to an app that answers, unless its container has gone meanwhile.
fn accept(
    workspace: &Workspace,
    live: &Live,
    upstream: Arc<Upstream>,
    exec: Option<String>,
) -> Result<Arc<Upstream>, Cause> {
    let mut state = workspace.write();
    if !state.is_still(live) {
        return Err(Cause::Stopped);
    }
    let slot = state.slot_mut(&upstream.app);
    slot.upstream = Some(Arc::clone(&upstream).into());
    slot.exec = exec;
    slot.failures = 0;
    slot.retry_at = None;
    Ok(upstream)
}
