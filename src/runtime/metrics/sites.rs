//! What sites use, put together at every scrape from what bulk reads have told anyway.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// What the container of one site uses.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteSample {
    /// Namespace of the site.
    pub namespace: String,
    /// Name of the site.
    pub name: String,
    /// Fraction of all its cores, 0 to 1.
    pub cpu_ratio: f64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Limit of its memory in bytes.
    pub memory_limit_bytes: u64,
    /// What its root disk holds, in bytes.
    pub disk_bytes: u64,
    /// Size of the file system on its root disk in bytes, where the back-end tells it.
    pub disk_limit_bytes: Option<u64>,
    /// Seconds since its container was started.
    pub uptime_seconds: u64,
}

/// One gauge of every site.
struct Quantity {
    name: &'static str,
    help: &'static str,
    unit: Unit,
    value: fn(&SiteSample) -> Option<f64>,
}

/// All gauges, in the order of the text.
fn quantities() -> [Quantity; 6] {
    let quantity = |name, help, unit, value| Quantity {
        name,
        help,
        unit,
        value,
    };
    [
        quantity(
            "site_cpu",
            "Fraction of the cores of a site's container that is used.",
            Unit::Other("ratio".to_owned()),
            |site| Some(site.cpu_ratio),
        ),
        quantity(
            "site_memory",
            "Memory that a site's container uses.",
            Unit::Bytes,
            |site| Some(site.memory_bytes as f64),
        ),
        quantity(
            "site_memory_limit",
            "Memory that a site's container may use.",
            Unit::Bytes,
            |site| Some(site.memory_limit_bytes as f64),
        ),
        quantity(
            "site_disk",
            "What the root disk of a site's container holds.",
            Unit::Bytes,
            |site| Some(site.disk_bytes as f64),
        ),
        quantity(
            "site_disk_limit",
            "What the root disk of a site's container can hold.",
            Unit::Bytes,
            |site| site.disk_limit_bytes.map(|bytes| bytes as f64),
        ),
        quantity(
            "site_uptime",
            "Time since a site's container was started.",
            Unit::Seconds,
            |site| Some(site.uptime_seconds as f64),
        ),
    ]
}

type Source = Box<dyn Fn() -> Vec<SiteSample> + Send + Sync>;

/// Asks for the samples at a scrape; keeps none.
#[derive(Clone, Default)]
pub(super) struct SitesCollector {
    source: Arc<Mutex<Option<Source>>>,
}

impl fmt::Debug for SitesCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SitesCollector")
    }
}

impl SitesCollector {
    /// From now on this is asked.
    pub(super) fn ask(&self, samples: impl Fn() -> Vec<SiteSample> + Send + Sync + 'static) {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        *source = Some(Box::new(samples));
    }
}

impl Collector for SitesCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let samples = {
            let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            source.as_ref().map(|samples| samples()).unwrap_or_default()
        };
        if samples.is_empty() {
            return Ok(());
        }
        for quantity in quantities() {
            let unit = Some(&quantity.unit);
            let mut family =
                encoder.encode_descriptor(quantity.name, quantity.help, unit, MetricType::Gauge)?;
            for sample in &samples {
                let Some(value) = (quantity.value)(sample) else {
                    continue;
                };
                // Not `namespace`: that is where Prometheus itself puts the namespace of the operator's pod.
                let labels = [
                    ("site_namespace", sample.namespace.as_str()),
                    ("site", sample.name.as_str()),
                ];
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::metrics::Metrics;

    fn sample(name: &str) -> SiteSample {
        SiteSample {
            namespace: "customers".to_owned(),
            name: name.to_owned(),
            cpu_ratio: 0.125,
            memory_bytes: 512 << 20,
            memory_limit_bytes: 2 << 30,
            disk_bytes: 3 << 30,
            disk_limit_bytes: Some(20 << 30),
            uptime_seconds: 3_600,
        }
    }

    #[test]
    fn each_site_has_its_gauges_as_long_as_it_is_told_of() {
        let metrics = Metrics::new();
        let told = || metrics.encode().unwrap();
        assert!(!told().contains("hostwright_site_"), "nobody tells of sites");
        let sites = Arc::new(Mutex::new(vec![sample("bakery"), sample("florist")]));
        let asked = Arc::clone(&sites);
        metrics.tell_of_sites(move || asked.lock().unwrap().clone());
        let text = told();
        for line in [
            "# TYPE hostwright_site_cpu_ratio gauge",
            "# UNIT hostwright_site_cpu_ratio ratio",
            "hostwright_site_cpu_ratio{site_namespace=\"customers\",site=\"bakery\"} 0.125",
            "hostwright_site_cpu_ratio{site_namespace=\"customers\",site=\"florist\"} 0.125",
            "hostwright_site_memory_bytes{site_namespace=\"customers\",site=\"bakery\"} 536870912.0",
            "hostwright_site_memory_limit_bytes{site_namespace=\"customers\",site=\"bakery\"} 2147483648.0",
            "hostwright_site_disk_bytes{site_namespace=\"customers\",site=\"bakery\"} 3221225472.0",
            "hostwright_site_disk_limit_bytes{site_namespace=\"customers\",site=\"bakery\"} 21474836480.0",
            "hostwright_site_uptime_seconds{site_namespace=\"customers\",site=\"bakery\"} 3600.0",
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line} in\n{text}");
        }
        sites.lock().unwrap().remove(0);
        sites.lock().unwrap()[0].disk_limit_bytes = None;
        let text = told();
        assert!(!text.contains("bakery"), "{text}");
        assert!(!text.contains("disk_limit_bytes{"), "{text}");
        assert!(text.contains("florist") && text.ends_with("# EOF\n"), "{text}");
    }
}
