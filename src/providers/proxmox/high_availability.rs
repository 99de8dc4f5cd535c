//! High availability: resources, and where they run. Proxmox 9 has rules, 8 has groups.
//!
//! Each container under it gets a rule of its own, `hostwright-ct-<number>`, so that no shared rule has to be
//! edited by two at once. Resource and rule carry the owner mark in their comments; what carries another
//! one's is refused. The state that is requested here owns the container's power: a start through the
//! node's API would flip it behind our back.

use std::collections::BTreeSet;

use super::classify::{Meaning, Refusal};
use super::client::{Request, Version};
use super::inventory::{Facts, Place};
use super::lifecycle::{foreign, gone};
use super::wire::{CurrentStatus, HaResource, HaRule, items};
use super::{Proxmox, container_name};
use crate::domain::{OwnerMark, Vmid};
use crate::providers::container_host::{HaState, HighAvailability};
use crate::providers::error::{ErrorKind, ProviderError};

/// Type of the rules that say on which nodes something runs.
const NODE_AFFINITY: &str = "node-affinity";
/// State of the manager that gave up.
const GAVE_UP: &str = "error";

fn resource_id(id: Vmid) -> String {
    format!("ct:{id}")
}

fn rule_name(id: Vmid) -> String {
    format!("hostwright-ct-{id}")
}

fn word_of(state: HaState) -> &'static str {
    match state {
        HaState::Started => "started",
        HaState::Stopped => "stopped",
        HaState::Disabled => "disabled",
        HaState::Ignored => "ignored",
    }
}

impl HaResource {
    /// The requested state; absent means started, and `enabled` is its old name.
    fn requested(&self) -> HaState {
        match self.state.as_deref() {
            Some("stopped") => HaState::Stopped,
            Some("disabled") => HaState::Disabled,
            Some("ignored") => HaState::Ignored,
            _ => HaState::Started,
        }
    }
}

/// Who may touch what high availability has of a container.
enum Claim<'a> {
    /// Its owner.
    Owner(&'a OwnerMark),
    /// Anybody: the container is gone or only its remains are left.
    Leftover,
}

impl Claim<'_> {
    /// # Errors
    /// `Conflict` for a comment with another owner's mark. No mark is no obstacle: a person put our
    /// container there.
    fn check(&self, id: Vmid, comment: Option<&str>) -> Result<(), ProviderError> {
        let marked = comment.and_then(OwnerMark::find_in);
        match (self, marked) {
            (Self::Owner(owner), Some(mark)) if mark != **owner => Err(ProviderError::new(
                ErrorKind::Conflict,
                format!(
                    "container {id}: its high availability carries another owner's mark; it is left alone"
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// The manager's state: from the container's own status, else from the cluster list.
fn gave_up(status: &CurrentStatus, place: &Place) -> bool {
    let state = status.ha.state.as_ref().or(place.ha_state.as_ref());
    state.is_some_and(|state| state == GAVE_UP)
}

impl Proxmox {
    async fn ha_resource(&self, id: Vmid) -> Result<Option<HaResource>, Refusal> {
        let path = ["cluster", "ha", "resources", &resource_id(id)];
        let request = Request::get("ha.resource", container_name(id), &path);
        match self.api.ask(request).await {
            Ok(resource) => Ok(Some(resource)),
            Err(refused) if refused.meaning == Meaning::HaAbsent => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// Our rule of a container. The list is asked and not the rule, because an empty list is a clearer
    /// answer than a sentence; it is filtered by resource where the rule is known to name it.
    async fn ha_rule(&self, id: Vmid, by_resource: bool) -> Result<Option<HaRule>, Refusal> {
        let request = Request::get("ha.rules", container_name(id), &["cluster", "ha", "rules"])
            .with("type", NODE_AFFINITY)
            .with_some("resource", by_resource.then(|| resource_id(id)));
        let rules: Vec<HaRule> = self.api.ask(request).await?;
        Ok(rules.into_iter().find(|rule| rule.rule == rule_name(id)))
    }

    /// What high availability has of a container; `None` when it does not manage it.
    pub(super) async fn high_availability(
        &self,
        id: Vmid,
        status: &CurrentStatus,
        place: &Place,
    ) -> Result<Option<HighAvailability>, Refusal> {
        let Some(resource) = self.ha_resource(id).await? else {
            return Ok(None);
        };
        let resource = &resource;
        let placed = self
            .api
            .versioned(|version| async move { self.is_placed(id, &version, resource).await })
            .await?;
        Ok(Some(HighAvailability {
            requested: resource.requested(),
            error: gave_up(status, place),
            placed,
        }))
    }

    async fn is_placed(&self, id: Vmid, version: &Version, resource: &HaResource) -> Result<bool, Refusal> {
        let placement = &self.settings.high_availability;
        if !version.has_rules() {
            return Ok(placement.group.is_none() || placement.group == resource.group);
        }
        if placement.nodes.is_empty() {
            return Ok(true);
        }
        let rule = self.ha_rule(id, true).await?;
        Ok(rule.is_some_and(|rule| self.rule_is_right(id, &rule)))
    }

    fn rule_is_right(&self, id: Vmid, rule: &HaRule) -> bool {
        let wanted: BTreeSet<&str> = self
            .settings
            .high_availability
            .nodes
            .iter()
            .map(String::as_str)
            .collect();
        // Priority 0 is the default, which Proxmox may write out.
        let nodes: BTreeSet<&str> = items(&rule.nodes)
            .into_iter()
            .map(|node| node.strip_suffix(":0").unwrap_or(node))
            .collect();
        items(&rule.resources).contains(resource_id(id).as_str())
            && nodes == wanted
            && rule.disable.unwrap_or_default() == 0
    }

    /// Requests a power state of the manager; `false` when it does not act on this container, so that the
    /// node's own API is the way.
    pub(super) async fn request_power(
        &self,
        id: Vmid,
        facts: &Facts,
        place: &Place,
        state: HaState,
    ) -> Result<bool, Refusal> {
        let Some(resource) = self.ha_resource(id).await? else {
            return Ok(false);
        };
        if resource.requested() == HaState::Ignored {
            return Ok(false);
        }
        if let Some(mark) = facts.config.mark() {
            Claim::Owner(&mark).check(id, resource.comment.as_deref())?;
        }
        // Disabled is stopped already, and stays the state to recover from.
        let stopped = state == HaState::Stopped && resource.requested() == HaState::Disabled;
        let next = next_state(gave_up(&facts.status, place), state);
        if next != resource.requested() && !stopped {
            let request = Self::change_resource(id, &resource).with("state", word_of(next));
            self.api.tell(request).await?;
        }
        Ok(true)
    }

    fn change_resource(id: Vmid, resource: &HaResource) -> Request {
        let path = ["cluster", "ha", "resources", &resource_id(id)];
        Request::put("ha.change_resource", container_name(id), &path)
            .with_some("digest", resource.digest.as_ref())
    }

    pub(super) async fn ensure_managed(
        &self,
        id: Vmid,
        owner: &OwnerMark,
        state: HaState,
    ) -> Result<(), ProviderError> {
        let seen = self
            .on_node(id, |place| async move {
                let facts = self.facts(id, &place.node).await?;
                match facts.config.mark().as_ref() == Some(owner) {
                    true => Ok(gave_up(&facts.status, &place)),
                    false => Err(foreign(id).into()),
                }
            })
            .await?;
        let error = seen.ok_or_else(|| gone(id))?;
        self.api
            .versioned(|version| async move {
                self.ensure_resource(id, owner, state, error, &version).await?;
                match version.has_rules() && !self.settings.high_availability.nodes.is_empty() {
                    true => self.ensure_rule(id, owner).await,
                    false => Ok(()),
                }
            })
            .await?;
        Ok(())
    }

    async fn ensure_resource(
        &self,
        id: Vmid,
        owner: &OwnerMark,
        state: HaState,
        error: bool,
        version: &Version,
    ) -> Result<(), Refusal> {
        let resource = match self.ha_resource(id).await? {
            Some(resource) => resource,
            None => match self.add_resource(id, owner, state, version).await {
                Err(refused) if refused.meaning == Meaning::Taken => {
                    self.ha_resource(id).await?.ok_or(refused)?
                }
                other => return other,
            },
        };
        Claim::Owner(owner).check(id, resource.comment.as_deref())?;
        let placement = &self.settings.high_availability;
        let next = next_state(error, state);
        let group = placement.group.as_ref().filter(|_| !version.has_rules());
        let changes = [
            (next != resource.requested()).then(|| ("state", word_of(next).to_owned())),
            (resource.max_restart != Some(u64::from(placement.max_restart)))
                .then(|| ("max_restart", placement.max_restart.to_string())),
            (resource.max_relocate != Some(u64::from(placement.max_relocate)))
                .then(|| ("max_relocate", placement.max_relocate.to_string())),
            (resource.comment.as_deref().and_then(OwnerMark::find_in).as_ref() != Some(owner))
                .then(|| ("comment", owner.to_string())),
            group
                .filter(|group| Some(*group) != resource.group.as_ref())
                .map(|group| ("group", group.clone())),
        ];
        let changes: Vec<_> = changes.into_iter().flatten().collect();
        if changes.is_empty() {
            return Ok(());
        }
        let request = changes
            .into_iter()
            .fold(Self::change_resource(id, &resource), |request, (name, value)| {
                request.with(name, value)
            });
        self.api.tell(request).await
    }

    async fn add_resource(
        &self,
        id: Vmid,
        owner: &OwnerMark,
        state: HaState,
        version: &Version,
    ) -> Result<(), Refusal> {
        let placement = &self.settings.high_availability;
        let path = ["cluster", "ha", "resources"];
        let request = Request::post("ha.add_resource", container_name(id), &path)
            .with("sid", resource_id(id))
            .with("state", word_of(state))
            .with("max_restart", placement.max_restart)
            .with("max_relocate", placement.max_relocate)
            .with("comment", owner)
            .with_some("group", placement.group.as_ref().filter(|_| !version.has_rules()));
        self.api.tell(request).await
    }

    async fn ensure_rule(&self, id: Vmid, owner: &OwnerMark) -> Result<(), Refusal> {
        let path = ["cluster", "ha", "rules"];
        let fields = |request: Request| {
            request
                .with("type", NODE_AFFINITY)
                .with("resources", resource_id(id))
                .with("nodes", self.settings.high_availability.nodes.join(","))
                .with("comment", owner)
        };
        let rule = match self.ha_rule(id, false).await? {
            Some(rule) => rule,
            None => {
                let request = Request::post("ha.add_rule", container_name(id), &path);
                match self.api.tell(fields(request.with("rule", rule_name(id)))).await {
                    Err(refused) if refused.meaning == Meaning::Taken => {
                        self.ha_rule(id, false).await?.ok_or(refused)?
                    }
                    other => return other,
                }
            }
        };
        Claim::Owner(owner).check(id, rule.comment.as_deref())?;
        if self.rule_is_right(id, &rule) {
            return Ok(());
        }
        let path = ["cluster", "ha", "rules", &rule_name(id)];
        let enable = (rule.disable.unwrap_or_default() != 0).then_some("disable");
        let request = fields(Request::put("ha.change_rule", container_name(id), &path))
            .with_some("delete", enable)
            .with_some("digest", rule.digest.as_ref());
        self.api.tell(request).await
    }

    pub(super) async fn remove_managed(&self, id: Vmid) -> Result<(), ProviderError> {
        let seen = self
            .on_node(id, |place| async move { self.facts(id, &place.node).await })
            .await?;
        let mark = seen.as_ref().and_then(|facts| facts.config.mark());
        let leftover = seen.as_ref().is_none_or(Facts::is_remains);
        let claim = match (&mark, leftover) {
            (Some(owner), _) => Some(Claim::Owner(owner)),
            (None, true) => Some(Claim::Leftover),
            (None, false) => None,
        };
        let claim = claim.as_ref();
        self.api
            .versioned(|version| async move {
                if version.has_rules() {
                    self.remove_rule(id, claim).await?;
                }
                self.remove_resource(id, claim, &version).await
            })
            .await?;
        Ok(())
    }

    async fn remove_rule(&self, id: Vmid, claim: Option<&Claim<'_>>) -> Result<(), Refusal> {
        let Some(rule) = self.ha_rule(id, false).await? else {
            return Ok(());
        };
        claim
            .ok_or_else(|| foreign(id))?
            .check(id, rule.comment.as_deref())?;
        let path = ["cluster", "ha", "rules", &rule_name(id)];
        let request = Request::delete("ha.remove_rule", container_name(id), &path);
        absent_is_done(self.api.tell(request).await)
    }

    async fn remove_resource(
        &self,
        id: Vmid,
        claim: Option<&Claim<'_>>,
        version: &Version,
    ) -> Result<(), Refusal> {
        let Some(resource) = self.ha_resource(id).await? else {
            return Ok(());
        };
        claim
            .ok_or_else(|| foreign(id))?
            .check(id, resource.comment.as_deref())?;
        let path = ["cluster", "ha", "resources", &resource_id(id)];
        let request = Request::delete("ha.remove_resource", container_name(id), &path)
            .with_some("purge", version.has_ha_purge().then_some(1));
        absent_is_done(self.api.tell(request).await)
    }
}

/// The state to request next. From an error the way leads through `disabled`, and only when the manager has
/// cleared the error to the wanted one.
fn next_state(error: bool, wanted: HaState) -> HaState {
    if error { HaState::Disabled } else { wanted }
}

fn absent_is_done(result: Result<(), Refusal>) -> Result<(), Refusal> {
    match result {
        Err(refused) if refused.meaning == Meaning::HaAbsent => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";

    fn resource(state: Option<&str>) -> HaResource {
        serde_json::from_value(serde_json::json!({"sid": "ct:907", "state": state, "max_restart": "1"}))
            .unwrap()
    }

    #[test]
    fn requested_states() {
        for (word, state) in [
            (None, HaState::Started),
            (Some("enabled"), HaState::Started),
            (Some("started"), HaState::Started),
            (Some("stopped"), HaState::Stopped),
            (Some("disabled"), HaState::Disabled),
            (Some("ignored"), HaState::Ignored),
        ] {
            assert_eq!(resource(word).requested(), state);
        }
        assert_eq!(resource(None).max_restart, Some(1));
    }

    #[test]
    fn marks_in_comments() {
        let id = Vmid::try_from(907).unwrap();
        let owner: OwnerMark = format!("hostwright:a:{UID}").parse().unwrap();
        let other = format!("hostwright:b:{UID}");
        let claim = Claim::Owner(&owner);
        assert!(claim.check(id, None).is_ok());
        assert!(claim.check(id, Some("made by hand")).is_ok());
        assert!(claim.check(id, Some(&owner.to_string())).is_ok());
        assert_eq!(
            claim.check(id, Some(&other)).unwrap_err().kind(),
            ErrorKind::Conflict
        );
        assert!(Claim::Leftover.check(id, Some(&other)).is_ok());
    }
}
