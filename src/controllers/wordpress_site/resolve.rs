//! From an object to what it shall be and the back-ends that hold it.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::site::{Terms, Wishes};
use super::{SiteKind, SiteSubject};
use crate::api::condition::reasons;
use crate::api::{ADOPT_ANNOTATION, SiteProviders, SiteResources, WordPressPlan, WordPressSiteSpec};
use crate::controllers::connections::{Compute, Dns, Proxy, Refusal};
use crate::controllers::site_backup::schedule;
use crate::domain::{DnsLabel, Email, Fqdn, OwnerMark};

/// The back-ends of a site.
pub struct Backends {
    /// Runs the container.
    pub compute: Arc<Compute>,
    /// Serves visitors.
    pub proxy: Arc<Proxy>,
    /// Hosts the name.
    pub dns: Arc<Dns>,
}

/// A site whose references all lead somewhere.
pub struct Resolved {
    /// What it shall be.
    pub terms: Terms,
    /// Who holds it.
    pub backends: Backends,
}

/// Where sizes and Providers come from. Sizes and quotas are the Plan's as it is now. Providers and base domain are the
/// Plan's until a site is reserved, the status' afterwards, so that a later change never moves a site to other
/// back-ends. A reserved site without a Plan keeps what it was given.
struct Source {
    providers: SiteProviders,
    sizes: SiteResources,
    base_domain: String,
    wishes: Wishes,
}

impl SiteKind {
    /// Resolves everything that an object refers to.
    ///
    /// # Errors
    /// The first thing that is missing or cannot be used, with its remedy.
    pub(super) fn resolve(&self, subject: &SiteSubject) -> Result<Resolved, Refusal> {
        let source = self.source(subject)?;
        let namespace = subject.object.namespace().unwrap_or_default();
        let connect = |name: &str| match subject.deleting {
            // Whatever was allowed once must be removable.
            true => self.connections.of(name),
            false => self.connections.allowed(name, &namespace),
        };
        let providers = &source.providers;
        let backends = Backends {
            compute: connect(&providers.compute)?.compute(&providers.compute)?,
            proxy: connect(&providers.proxy)?.proxy(&providers.proxy)?,
            dns: connect(&providers.dns)?.dns(&providers.dns)?,
        };
        let terms = self.terms(subject, source, &backends)?;
        Ok(Resolved { terms, backends })
    }

    fn source(&self, subject: &SiteSubject) -> Result<Source, Refusal> {
        let status = &subject.status;
        let plan = self.wordpress_plan(&subject.object.spec.plan);
        let reserved = match (&status.providers, status.resources, &status.base_domain) {
            (Some(providers), Some(sizes), Some(base_domain)) => Some((providers, sizes, base_domain)),
            _ => None,
        };
        let plan = match (plan, reserved) {
            (Ok(plan), _) => plan,
            (Err(refusal), None) => return Err(refusal),
            (Err(refusal), Some((providers, sizes, base_domain))) => {
                return Ok(Source {
                    providers: providers.clone(),
                    sizes,
                    base_domain: base_domain.clone(),
                    wishes: Wishes {
                        without_plan: Some(refusal.message),
                        ..wishes(&subject.object.spec, None)
                    },
                });
            }
        };
        let sizes = SiteResources {
            cores: plan.cores,
            memory_mib: plan.memory_mib,
            swap_mib: plan.swap_mib,
            disk_gib: plan.disk_gib,
            high_availability: plan.high_availability,
        };
        let wishes = wishes(&subject.object.spec, Some(&plan));
        let (providers, base_domain) = match reserved {
            Some((providers, _, base_domain)) => (providers.clone(), base_domain.clone()),
            None => (
                SiteProviders {
                    compute: plan.compute,
                    proxy: plan.proxy,
                    dns: plan.dns,
                },
                plan.base_domain,
            ),
        };
        Ok(Source {
            providers,
            sizes,
            base_domain,
            wishes,
        })
    }

    fn wordpress_plan(&self, name: &str) -> Result<WordPressPlan, Refusal> {
        let plan = self.plans.get(&ObjectRef::new(name)).ok_or_else(|| {
            let message =
                format!("Plan {name} does not exist; create it, or create the site with another plan");
            Refusal::new(reasons::PLAN_NOT_FOUND, message)
        })?;
        plan.spec.wordpress.clone().ok_or_else(|| {
            Refusal::new(
                reasons::PLAN_INVALID,
                format!("Plan {name} has no wordpress section; add one"),
            )
        })
    }

    fn terms(&self, subject: &SiteSubject, source: Source, backends: &Backends) -> Result<Terms, Refusal> {
        let spec = &subject.object.spec;
        let invalid = |error: &dyn std::fmt::Display| Refusal::new(reasons::INVALID_SPEC, error.to_string());
        let uid = subject.uid().parse().map_err(|error| invalid(&error))?;
        let owner = OwnerMark {
            cluster: self.cluster.clone(),
            uid,
        };
        let email: Email = spec.owner.email.parse().map_err(|error| invalid(&error))?;
        let base_domain: Fqdn = source.base_domain.parse().map_err(|error| invalid(&error))?;
        let label = match &spec.subdomain {
            Some(label) => label.parse::<DnsLabel>().map_err(|error| invalid(&error))?,
            None => match DnsLabel::suggested_by(email.local_part()) {
                Some(label) => label,
                None => format!("site-{}", owner.uid.short())
                    .parse()
                    .map_err(|error| invalid(&error))?,
            },
        };
        let names = [spec.owner.first_name.as_deref(), spec.owner.last_name.as_deref()];
        Ok(Terms {
            owner,
            email,
            customer: names.into_iter().flatten().collect::<Vec<_>>().join(" "),
            label,
            label_is_fixed: spec.subdomain.is_some(),
            base_domain,
            sizes: source.sizes,
            providers: source.providers,
            range: backends.compute.range,
            pool: backends.compute.pool,
            public_address: backends.proxy.public_address,
            dns_ttl: backends.dns.ttl,
            dns_proxied: backends.dns.proxied,
            adopt: subject.object.annotations().get(ADOPT_ANNOTATION).cloned(),
            wishes: source.wishes,
        })
    }
}

/// What the object and its Plan ask of a site that is made.
fn wishes(spec: &WordPressSiteSpec, plan: Option<&WordPressPlan>) -> Wishes {
    let none = Wishes::default();
    Wishes {
        power: spec.power,
        suspension: spec
            .suspended
            .then(|| plan.map(|plan| plan.suspension).unwrap_or_default()),
        proxy_enabled: spec.proxy_enabled,
        restarted_at: spec.restarted_at.as_ref().map(|time| time.0),
        recovery: plan.map_or(none.recovery, |plan| plan.recovery),
        domains: plan.map_or(none.domains, |plan| plan.domains),
        domain_names: spec.domains.clone(),
        backups: plan.map_or(none.backups, |plan| plan.backups),
        announce_domains: plan.is_some_and(|plan| plan.announce_domains),
        schedule_trouble: spec
            .backup_schedule
            .as_ref()
            .and_then(|schedule| schedule::check(schedule).err()),
        without_plan: None,
    }
}
