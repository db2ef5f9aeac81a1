//! Docker, by its API (1.41 or newer) over its Unix socket.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bollard::{
    API_DEFAULT_VERSION,
    container::LogOutput,
    errors::Error,
    exec::{StartExecOptions, StartExecResults},
    models::{ContainerStatsResponse, ExecConfig, NetworkCreateRequest},
    query_parameters::{
        CreateContainerOptions, EventsOptionsBuilder, InspectContainerOptions,
        InspectNetworkOptions, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
        StartContainerOptions, StatsOptionsBuilder, StopContainerOptionsBuilder,
    },
};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};

use super::{
    Attached, Container, ContainerSpec, Engine, EngineError, Event, Labels, Network, Output, Usage,
    bridge::Bridge,
    cgroup::Accounts,
    shield,
    words::{bridge, container, creation, event, typed, usage},
};
use crate::{config, metrics};

/// The bridge option that lets containers on a network reach each other, or not
/// (Docker's documentation of the bridge network driver).
const ICC: &str = "com.docker.network.bridge.enable_icc";
/// How many containers are asked about side by side.
const LOOKS: usize = 8;
/// How much of a command's output is kept.
const OUTPUT_BYTES: usize = 16 * 1024;

/// A connection to a Docker daemon.
#[derive(Debug)]
pub struct Docker {
    api: bollard::Docker,
    timeout: Duration,
    accounts: Arc<Accounts>,
    bridge: Bridge,
    count: metrics::Rare,
}

impl Docker {
    /// Connects and agrees on a version of the API.
    ///
    /// # Errors
    /// [`EngineError::Unreachable`] if nothing answers there.
    pub async fn connect(config: &config::Engine) -> Result<Self, EngineError> {
        let socket = config.socket.to_string_lossy();
        let seconds = config.timeout.as_secs().max(1);
        let api = bollard::Docker::connect_with_unix(&socket, seconds, API_DEFAULT_VERSION);
        let api = api.map_err(|_| EngineError::Unreachable)?;
        let api = tokio::time::timeout(config.timeout, api.negotiate_version()).await;
        let api = api.map_err(|_| EngineError::Timeout(seconds))?;
        Ok(Self {
            api: api.map_err(|_| EngineError::Unreachable)?,
            timeout: config.timeout,
            accounts: Arc::default(),
            bridge: Bridge::default(),
            count: metrics::Rare::default(),
        })
    }

    /// The same, with its failures counted.
    #[must_use]
    pub fn counted(self, count: metrics::Rare) -> Self {
        Self { count, ..self }
    }

    /// Learns where a container has its CPU account; true if that is somewhere new.
    async fn learn_place(&self, id: &str) -> bool {
        let call = self
            .api
            .inspect_container(id, None::<InspectContainerOptions>);
        let seen = self.within(0, call).await;
        let pid = seen.ok().and_then(|seen| seen.state?.pid);
        pid.is_some_and(|pid| pid > 0 && self.accounts.learn(id, pid))
    }

    /// CPU time by the accounts of containers, where those are known.
    async fn read_accounts(&self, ids: &[Arc<str>]) -> Vec<Option<Duration>> {
        let (accounts, all) = (Arc::clone(&self.accounts), ids.to_vec());
        let read = tokio::task::spawn_blocking(move || accounts.read(&all)).await;
        read.unwrap_or_else(|_| vec![None; ids.len()])
    }

    /// Waits for a call, but not longer than the configured deadline.
    async fn within<T>(
        &self,
        extra: u64,
        call: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, EngineError> {
        let deadline = self.timeout + Duration::from_secs(extra);
        let answer = match tokio::time::timeout(deadline, call).await {
            Ok(answer) => answer.map_err(|error| typed(error, self.timeout)),
            Err(_) => Err(EngineError::Timeout(deadline.as_secs())),
        };
        // That there is no such container is mostly what was to be found out.
        if let Err(error) = &answer
            && !matches!(error, EngineError::ContainerGone)
        {
            self.count.engine_failed(error.as_str());
        }
        answer
    }
}

/// Turns an answer of "there is none" into `None`.
fn found<T>(answer: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(EngineError::ContainerGone | EngineError::NetworkMissing) => Ok(None),
        Err(error) => Err(error),
    }
}

fn filters(pairs: &[(&str, String)]) -> HashMap<String, Vec<String>> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), vec![value.clone()]))
        .collect()
}

#[async_trait]
impl Engine for Docker {
    async fn image_id(&self, reference: &str) -> Result<String, EngineError> {
        match self.within(0, self.api.inspect_image(reference)).await {
            Ok(image) => Ok(image.id.unwrap_or_default()),
            Err(EngineError::ContainerGone) => Err(EngineError::ImageMissing(reference.to_owned())),
            Err(error) => Err(error),
        }
    }

    async fn network(&self, name: &str) -> Result<Option<Network>, EngineError> {
        let call = self
            .api
            .inspect_network(name, None::<InspectNetworkOptions>);
        let network = found(self.within(0, call).await)?;
        Ok(network.map(|network| Network {
            isolated: network
                .options
                .unwrap_or_default()
                .get(ICC)
                .is_some_and(|icc| icc == "false"),
        }))
    }

    async fn create_network(&self, name: &str) -> Result<(), EngineError> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            options: Some(HashMap::from([(ICC.to_owned(), "false".to_owned())])),
            ..Default::default()
        };
        self.within(0, self.api.create_network(request))
            .await
            .map(drop)
    }

    async fn shield(&self, network: &str) -> Result<(), EngineError> {
        let call = self
            .api
            .inspect_network(network, None::<InspectNetworkOptions>);
        let network = self.within(0, call).await?;
        if let Some(bridge) = bridge(&network) {
            self.bridge.found(bridge);
        }
        let ranges = network
            .ipam
            .and_then(|ipam| ipam.config)
            .unwrap_or_default();
        for subnet in ranges.into_iter().filter_map(|range| range.subnet) {
            self.within(0, async { Ok(shield::from_link_local(&subnet).await) })
                .await?
                .map_err(|error| EngineError::Refused(error.to_string()))?;
        }
        Ok(())
    }

    async fn list(&self, label: &str, value: &str) -> Result<Vec<(String, Labels)>, EngineError> {
        let filters = filters(&[("label", format!("{label}={value}"))]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let listed = self
            .within(0, self.api.list_containers(Some(options)))
            .await?;
        let listed = listed.into_iter().filter_map(|summary| {
            let labels = summary.labels.unwrap_or_default().into_iter().collect();
            Some((summary.id?, labels))
        });
        Ok(listed.collect())
    }

    async fn inspect(&self, name: &str) -> Result<Option<Container>, EngineError> {
        let call = self
            .api
            .inspect_container(name, None::<InspectContainerOptions>);
        Ok(found(self.within(0, call).await)?.map(container))
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let options = CreateContainerOptions {
            name: Some(spec.name.clone()),
            ..Default::default()
        };
        self.within(0, self.api.create_container(Some(options), creation(spec)))
            .await
            .map(|made| made.id)
    }

    async fn start(&self, id: &str) -> Result<(), EngineError> {
        self.within(
            0,
            self.api.start_container(id, None::<StartContainerOptions>),
        )
        .await?;
        self.bridge.quiet();
        Ok(())
    }

    async fn unpause(&self, id: &str) -> Result<(), EngineError> {
        self.within(0, self.api.unpause_container(id)).await
    }

    async fn stop(&self, id: &str, grace: u64) -> Result<(), EngineError> {
        let seconds = i32::try_from(grace).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        self.within(grace, self.api.stop_container(id, Some(options)))
            .await
    }

    async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        self.within(0, self.api.remove_container(id, Some(options)))
            .await
    }

    async fn exec(
        &self,
        id: &str,
        command: &[String],
        env: &[String],
    ) -> Result<String, EngineError> {
        let config = ExecConfig {
            cmd: Some(command.to_vec()),
            env: Some(env.to_vec()),
            ..Default::default()
        };
        let exec = self.within(0, self.api.create_exec(id, config)).await?.id;
        let detached = StartExecOptions {
            detach: true,
            ..Default::default()
        };
        self.within(0, self.api.start_exec(&exec, Some(detached)))
            .await?;
        Ok(exec)
    }

    async fn exec_ended(&self, exec: &str) -> Result<Option<i64>, EngineError> {
        let seen = self.within(0, self.api.inspect_exec(exec)).await?;
        let ended = seen.running == Some(false);
        Ok(ended.then(|| seen.exit_code.unwrap_or_default()))
    }

    async fn output(&self, id: &str, command: &[String]) -> Result<String, EngineError> {
        let config = ExecConfig {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = self.within(0, self.api.create_exec(id, config)).await?.id;
        let read = async {
            let mut text = String::new();
            if let StartExecResults::Attached { mut output, .. } =
                self.api.start_exec(&exec, None).await?
            {
                while let Some(part) = output.next().await {
                    text.push_str(&part?.to_string());
                    if text.len() > 2 * OUTPUT_BYTES {
                        text = tail(&text).to_owned();
                    }
                }
            }
            Ok(tail(&text).to_owned())
        };
        self.within(0, read).await
    }

    async fn attach(&self, id: &str, command: &[String]) -> Result<Attached, EngineError> {
        let config = ExecConfig {
            cmd: Some(command.to_vec()),
            user: Some("1000:1000".to_owned()),
            working_dir: Some("/home/user".to_owned()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let exec = self.within(0, self.api.create_exec(id, config)).await?.id;
        let started = self.within(0, self.api.start_exec(&exec, None)).await?;
        let StartExecResults::Attached { output, input } = started else {
            return Err(EngineError::Refused("the command was not attached".into()));
        };
        let output = output.filter_map(async |part| match part {
            Ok(LogOutput::StdOut { message }) => Some(Ok(Output::Out(message))),
            Ok(LogOutput::StdErr { message }) => Some(Ok(Output::Err(message))),
            Ok(_) => None,
            Err(_) => Some(Err(EngineError::Unreachable)),
        });
        Ok(Attached {
            input,
            output: output.boxed(),
        })
    }

    async fn cpu_used(&self, ids: &[Arc<str>]) -> Vec<Option<Duration>> {
        let mut read = self.read_accounts(ids).await;
        // A few are inspected for all: mostly these share their place, or none can be seen from here.
        let unread = ids.iter().zip(&read).filter(|(_, used)| used.is_none());
        for (id, _) in unread.take(LOOKS) {
            if self.learn_place(id).await {
                read = self.read_accounts(ids).await;
                break;
            }
        }
        let told = ids.iter().zip(read).map(|(id, used)| async move {
            if used.is_some() {
                return used;
            }
            // Where its processes are none that we can see.
            let usage = self.usage(id).await.ok()?;
            Some(Duration::from_nanos(usage.cpu_nanos))
        });
        let told: Vec<_> = told.collect();
        stream::iter(told).buffered(LOOKS).collect().await
    }

    async fn usage(&self, id: &str) -> Result<Usage, EngineError> {
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true);
        let mut answers = pin!(self.api.stats(id, Some(options.build())));
        let first = async {
            answers
                .next()
                .await
                .unwrap_or_else(|| Ok(ContainerStatsResponse::default()))
        };
        let seen = self.within(0, first).await?;
        Ok(usage(seen))
    }

    fn events(
        &self,
        label: &str,
        value: &str,
        since: u64,
    ) -> BoxStream<'static, Result<Event, EngineError>> {
        let filters = filters(&[
            ("label", format!("{label}={value}")),
            ("type", "container".to_owned()),
        ]);
        let options = EventsOptionsBuilder::default()
            .filters(&filters)
            .since(&since.to_string())
            .build();
        let api = self.api.clone();
        let connect = async move { api.events(Some(options)) };
        stream::once(connect)
            .flatten()
            .filter_map(async |message| match message {
                Ok(message) => event(message).map(Ok),
                Err(_) => Some(Err(EngineError::Unreachable)),
            })
            .boxed()
    }
}

/// The last [`OUTPUT_BYTES`] of a text, at a character's border.
fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(OUTPUT_BYTES);
    let from = (from..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or_default();
    &text[from..]
}
