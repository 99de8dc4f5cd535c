//! One visitor of the server: log-in, one command a channel, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg};

use super::{NodeState, Outcome, Scissors, locked};
use crate::sim::directory::Installed;
use crate::sim::faults::{Trouble, Verdict};

/// Bytes of the largest standard input that is taken; the script is some 20 KB.
const INPUT_LIMIT: usize = 1 << 20;
/// Exit status of a Perl program that dies, as `pct` does.
const DIED: u32 = 255;
/// Exit status of `pct` for a missing configuration file: errno of ENOENT.
const NO_ENTRY: u32 = 2;
/// Exit status of a script that refuses for good.
const REFUSED: u32 = 3;
/// What precedes the host name in the script's parameters.
const HOST_PARAMETER: &str = "HOSTWRIGHT_SITE_HOST='";
/// What precedes the customer's domains in the parameters of the script that announces them.
const DOMAINS_PARAMETER: &str = "HOSTWRIGHT_DOMAINS='";

/// One connection's side of the protocol.
pub(super) struct Visitor {
    node: Arc<NodeState>,
    scissors: Scissors,
    channels: BTreeMap<u32, Channel<Msg>>,
}

impl Visitor {
    pub fn new(node: Arc<NodeState>, scissors: Scissors) -> Self {
        Self {
            node,
            scissors,
            channels: BTreeMap::new(),
        }
    }

    fn welcome(&self, user: &str, key: &russh::keys::PublicKey) -> Auth {
        if user == "root" && key.key_data() == self.node.authorized.key_data() {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }
}

impl Handler for Visitor {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.welcome(user, offer.public_key))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(self.welcome(user, key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id().into(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let container = std::str::from_utf8(data).ok().and_then(container_of);
        let (Some(container), Some(channel)) = (container, self.channels.remove(&id.into())) else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        let run = Run {
            node: Arc::clone(&self.node),
            scissors: self.scissors.clone(),
            container,
            channel,
        };
        let mut work = locked(&self.node.work);
        while work.try_join_next().is_some() {}
        work.spawn(run.serve());
        Ok(())
    }
}

/// The number in exactly `pct exec N -- bash -s`.
fn container_of(command: &str) -> Option<u32> {
    let number = command.strip_prefix("pct exec ")?.strip_suffix(" -- bash -s")?;
    if !number.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    number.parse().ok()
}

/// One of the script's parameters.
fn parameter<'a>(input: &'a [u8], assignment: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(input).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(assignment))?;
    value.strip_suffix('\'')
}

/// One command.
struct Run {
    node: Arc<NodeState>,
    scissors: Scissors,
    container: u32,
    channel: Channel<Msg>,
}

/// What a command ends with.
struct Answer {
    standard: String,
    error: String,
    status: u32,
}

impl Answer {
    /// A script that ended well after this step.
    fn done(step: &str) -> Self {
        Self {
            standard: format!("hostwright: step {step}\nhostwright: done\n"),
            error: String::new(),
            status: 0,
        }
    }

    fn refusal(error: impl Into<String>, status: u32) -> Self {
        Self {
            standard: String::new(),
            error: error.into(),
            status,
        }
    }
}

impl Run {
    async fn serve(mut self) {
        let path = format!("/pct/exec/{}", self.container);
        let mut after = None;
        self.node.faults.saw(self.scissors.ends(), "EXEC", &path);
        for trouble in self.node.faults.meet("EXEC", &path) {
            if let Some(delay) = trouble.latency() {
                tokio::time::sleep(delay).await;
                continue;
            }
            match trouble {
                Trouble::Refuse { body, .. } => return self.answer(Answer::refusal(body, DIED)).await,
                Trouble::CutBefore => return self.scissors.cut(),
                other => after = Some(other),
            }
        }
        let outcome = locked(&self.node.outcome).clone();
        let answer = match self.refusal() {
            Some(refusal) => refusal,
            None => match self.work(&outcome).await {
                Some(answer) => answer,
                None => return,
            },
        };
        match self.node.faults.after_effect("ssh", "EXEC", &path) {
            Verdict::Answer => {}
            Verdict::Lose => return self.scissors.cut(),
            Verdict::Hang => std::future::pending().await,
            // An error is the other end that was dropped, which releases as well.
            Verdict::Hold(released) => drop(released.await),
        }
        match after {
            Some(Trouble::FailAfterEffect { body, .. }) => self.answer(Answer::refusal(body, DIED)).await,
            Some(Trouble::CutAfter) => self.scissors.cut(),
            Some(Trouble::HangAfter) => std::future::pending().await,
            Some(Trouble::Truncate) => {
                let half = answer.standard.len() / 2;
                let bytes = answer
                    .standard
                    .as_bytes()
                    .get(..half)
                    .unwrap_or_default()
                    .to_vec();
                let _ = self.channel.data_bytes(bytes).await;
                self.scissors.cut();
            }
            _ => self.answer(answer).await,
        }
    }

    /// What `pct` itself says before anything runs.
    fn refusal(&self) -> Option<Answer> {
        let directory = self.node.directory.as_ref()?;
        let (node, id) = (&self.node.name, self.container);
        match directory.on_node(id) {
            Some((place, true)) if place == *node => None,
            Some((place, false)) if place == *node => {
                Some(Answer::refusal(format!("container '{id}' not running!\n"), DIED))
            }
            _ => Some(Answer::refusal(
                format!("Configuration file 'nodes/{node}/lxc/{id}.conf' does not exist\n"),
                NO_ENTRY,
            )),
        }
    }

    /// The script's work; `None` when the connection is gone or shall never be answered.
    async fn work(&mut self, outcome: &Outcome) -> Option<Answer> {
        let limit = match outcome {
            Outcome::Cut { after_bytes } => *after_bytes,
            _ => INPUT_LIMIT,
        };
        let Some(input) = self.standard_input(limit).await else {
            self.scissors.cut();
            return None;
        };
        if matches!(outcome, Outcome::Cut { .. }) {
            // The input was shorter than the limit; the connection breaks none the less.
            self.scissors.cut();
            return None;
        }
        let domains = parameter(&input, DOMAINS_PARAMETER);
        if domains.is_none() {
            self.count_installation(&input);
            tokio::time::sleep(self.node.run_time).await;
        }
        match outcome {
            Outcome::Hang | Outcome::Cut { .. } => std::future::pending().await,
            Outcome::Fail {
                step,
                sentence,
                status,
            } => Some(Answer {
                standard: format!("hostwright: step {step}\nhostwright: failed {step}: {sentence}\n"),
                error: "the log's last lines\n".to_owned(),
                status: *status,
            }),
            Outcome::Finish => Some(match domains {
                Some(domains) => self.announce(domains),
                None => self.install(&input),
            }),
        }
    }

    fn count_installation(&self, input: &[u8]) {
        *locked(&self.node.runs).entry(self.container).or_default() += 1;
        let mut hasher = DefaultHasher::new();
        input.hash(&mut hasher);
        locked(&self.node.inputs)
            .entry(self.container)
            .or_default()
            .insert(hasher.finish());
    }

    /// Where WordPress was installed before, it takes the names.
    fn announce(&self, domains: &str) -> Answer {
        let directory = self.node.directory.as_ref();
        if directory.is_some_and(|directory| directory.installed(self.container).is_none()) {
            return Answer {
                standard: "hostwright: failed start: the container has no WordPress that Hostwright installed; tell \
                           it of its names by hand\n"
                    .to_owned(),
                error: String::new(),
                status: REFUSED,
            };
        }
        let domains: BTreeSet<String> = domains.split_whitespace().map(str::to_owned).collect();
        locked(&self.node.announced).insert(self.container, domains);
        Answer::done("domains")
    }

    fn install(&self, input: &[u8]) -> Answer {
        let Some(host) = parameter(input, HOST_PARAMETER) else {
            return Answer::refusal("bash: line 1: HOSTWRIGHT_SITE_HOST: unbound variable\n", 1);
        };
        if let Some(directory) = &self.node.directory {
            directory.set_installed(self.container, Installed::fresh(host));
        }
        Answer::done("check")
    }

    /// Everything up to end of file. `None` when the connection ended before, or after `limit` bytes: a shell
    /// that got half of the script does nothing.
    async fn standard_input(&mut self, limit: usize) -> Option<Vec<u8>> {
        let mut input = Vec::new();
        while let Some(message) = self.channel.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    input.extend_from_slice(&data);
                    if input.len() > limit {
                        return None;
                    }
                }
                ChannelMsg::Eof => return Some(input),
                ChannelMsg::Close => return None,
                _ => {}
            }
        }
        None
    }

    async fn answer(self, answer: Answer) {
        // Errors here are callers that hung up.
        let _ = self.channel.data_bytes(answer.standard.into_bytes()).await;
        let _ = self
            .channel
            .extended_data_bytes(1, answer.error.into_bytes())
            .await;
        let _ = self.channel.exit_status(answer.status).await;
        let _ = self.channel.eof().await;
        let _ = self.channel.close().await;
    }
}
