//! Memory and processor time of this process, read at every scrape under the names that Prometheus' own
//! client libraries use.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Ticks a second in /proc/self/stat. The kernel shows user space 100 on every architecture that we build for,
/// whatever it counts with inside (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;
/// Words between the end of the program's name and `utime` in /proc/self/stat: fields 3 to 13 (proc(5)).
const WORDS_BEFORE_UTIME: usize = 11;

/// What /proc tells about us. Where it does not exist the two metrics are left out.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(bytes) = read("/proc/self/status").as_deref().and_then(resident_bytes) {
            let gauge = ConstGauge::new(bytes);
            gauge.encode(encoder.encode_descriptor(
                "process_resident_memory",
                "Resident memory.",
                Some(&Unit::Bytes),
                gauge.metric_type(),
            )?)?;
        }
        if let Some(seconds) = read("/proc/self/stat").as_deref().and_then(cpu_seconds) {
            let counter = ConstCounter::new(seconds);
            counter.encode(encoder.encode_descriptor(
                "process_cpu",
                "User and system processor time.",
                Some(&Unit::Seconds),
                counter.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// `VmRSS:     1234 kB`; the unit is always kB, which means KiB (proc(5)).
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// `utime` and `stime`, counted from the last bracket, because the program's name may hold spaces and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_ascii_whitespace().skip(WORDS_BEFORE_UTIME);
    let user: u32 = words.next()?.parse().ok()?;
    let system: u32 = words.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(
            resident_bytes("VmHWM:\t  99 kB\nVmRSS:\t  2048 kB\nThreads:\t4\n"),
            Some(2 << 20)
        );
        assert_eq!(resident_bytes("Threads:\t4\n"), None);
    }

    #[test]
    fn processor_time_is_found_behind_an_odd_name() {
        let stat = "42 (host) wright) S 1 42 42 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 4 0 100 0 0";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("42 (x) S 1"), None);
    }

    #[test]
    fn this_process_has_both() {
        assert!(read("/proc/self/status").as_deref().and_then(resident_bytes) > Some(0));
        assert!(read("/proc/self/stat").as_deref().and_then(cpu_seconds) >= Some(0.0));
    }
}
