//! The zone file that ISPConfig's BIND plugin makes of its stored rows (`server/plugins-available/
//! bind_plugin.inc.php` with the template `bind_pri.domain.master`), so that a test can follow a record from
//! the API to an answer of a real name server. Nothing is repaired here: what the plugin writes wrongly is wrong.

use hickory_proto::rr::RecordType;

use crate::name_servers::NameServers;

/// Bytes after which the plugin begins another string of a TXT record.
const TXT_STRING: usize = 255;

/// A row of the table `dns_soa`, every value a string as in the API.
#[derive(Debug, Clone, Default)]
pub struct SoaRow {
    pub origin: String,
    pub ns: String,
    pub mbox: String,
    pub serial: String,
    pub refresh: String,
    pub retry: String,
    pub expire: String,
    pub minimum: String,
    pub ttl: String,
    /// `Y` or `N`.
    pub active: String,
}

/// A row of the table `dns_rr`, every value a string as in the API.
#[derive(Debug, Clone, Default)]
pub struct RrRow {
    pub name: String,
    /// The column `type`.
    pub kind: String,
    pub data: String,
    pub aux: String,
    pub ttl: String,
    /// `Y` or `N`.
    pub active: String,
}

/// The file of a zone, as bytes, for the seams of long texts may cut a character. `None` when the daemon
/// leaves the zone out: it is not active, or has no active record.
pub fn zone_file(soa: &SoaRow, records: &[RrRow]) -> Option<Vec<u8>> {
    let active: Vec<&RrRow> = records.iter().filter(|record| record.active == "Y").collect();
    if soa.active != "Y" || active.is_empty() {
        return None;
    }
    let mut file = format!(
        "$TTL        {}\n@       IN      SOA     {} {} (\n\
         {:24}{}       ; serial, todays date + todays serial #\n\
         {:24}{}              ; refresh, seconds\n\
         {:24}{}              ; retry, seconds\n\
         {:24}{}              ; expire, seconds\n\
         {:24}{} )            ; minimum, seconds\n;\n\n",
        soa.ttl,
        soa.ns,
        soa.mbox,
        "",
        soa.serial,
        "",
        soa.refresh,
        "",
        soa.retry,
        "",
        soa.expire,
        "",
        soa.minimum,
    )
    .into_bytes();
    for record in active {
        file.extend(line(record));
    }
    Some(file)
}

/// Does with a zone's rows what ISPConfig's daemon does after a change: writes the file, has it checked, and lets
/// the name server load it, or drop the zone that is to be left out.
///
/// # Errors
/// What `named-checkzone` says against the zone; the server keeps the version before.
pub async fn publish(
    dns: &mut NameServers,
    server: &str,
    soa: &SoaRow,
    records: &[RrRow],
) -> Result<(), String> {
    match zone_file(soa, records) {
        Some(file) => dns.load_zone(server, &soa.origin, file).await,
        None => {
            dns.unload_zone(server, &soa.origin).await;
            Ok(())
        }
    }
}

fn line(record: &RrRow) -> Vec<u8> {
    let name = if record.name.is_empty() { "@" } else { &record.name };
    let ttl = if record.ttl == "0" { "" } else { &record.ttl };
    let kind = match record.kind.as_str() {
        "ALIAS" => "CNAME",
        kind => kind,
    };
    let mut line = format!("{name} {ttl}      {kind}        ").into_bytes();
    match kind {
        "MX" => line.extend(format!("{}   {}", record.aux, record.data).bytes()),
        "SRV" => line.extend(format!("{} {}", record.aux, record.data).bytes()),
        "TXT" => {
            let strings: Vec<&[u8]> = record.data.as_bytes().chunks(TXT_STRING).collect();
            line.push(b'"');
            line.extend(strings.join(&b"\" \""[..]));
            line.push(b'"');
        }
        _ => line.extend(record.data.bytes()),
    }
    line.push(b'\n');
    line
}

fn soa(origin: &str) -> SoaRow {
    let of = str::to_owned;
    SoaRow {
        origin: of(origin),
        ns: of("ns1.hoster.net."),
        mbox: format!("hostmaster.{origin}"),
        serial: of("2026010101"),
        refresh: of("86400"),
        retry: of("7200"),
        expire: of("3600000"),
        minimum: of("3600"),
        ttl: of("3600"),
        active: of("Y"),
    }
}

fn row(name: &str, kind: &str, data: &str, aux: &str) -> RrRow {
    let of = str::to_owned;
    RrRow {
        name: of(name),
        kind: of(kind),
        data: of(data),
        aux: of(aux),
        ttl: of("300"),
        active: of("Y"),
    }
}

/// Name, type, data and priority as stored, the whole name, and the answer. `LONG` is a text of 600 letters.
const STORED: &str = r#"
                |NS   |ns1.hoster.net.          |0 |shop.test.                 |ns1.hoster.net.
                |A    |192.0.2.10               |0 |shop.test.                 |192.0.2.10
www.shop.test.  |A    |192.0.2.11               |0 |www.shop.test.             |192.0.2.11
*               |A    |192.0.2.12               |0 |anything.shop.test.        |192.0.2.12
www             |AAAA |2001:db8::10             |0 |www.shop.test.             |2001:db8::10
blog            |CNAME|www.shop.test.           |0 |blog.shop.test.            |www.shop.test.
                |MX   |mail.other.net.          |10|shop.test.                 |10 mail.other.net.
xn--mlaut-jva   |TXT  |v=spf1 -all              |0 |xn--mlaut-jva.shop.test.   |v=spf1 -all
quoted          |TXT  |a \"b\" \\c              |0 |quoted.shop.test.          |a "b" \c
long._domainkey |TXT  |LONG                     |0 |long._domainkey.shop.test. |LONG
                |CAA  |0 issue "letsencrypt.org"|0 |shop.test.                 |0 issue "letsencrypt.org"
_sip._tcp       |SRV  |5 5060 sip.other.net.    |20|_sip._tcp.shop.test.       |20 5 5060 sip.other.net.
"#;

#[tokio::test]
async fn each_type_of_record_is_answered_as_it_was_stored() {
    let mut dns = NameServers::start(&["ns1"]).await;
    let long: String = ('a'..='z').cycle().take(600).collect();
    let stored = STORED.replace("LONG", &long);
    let cases = stored.trim_matches('\n').lines();
    let cases: Vec<Vec<&str>> = cases
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let rows: Vec<RrRow> = cases
        .iter()
        .map(|case| row(case[0], case[1], case[2], case[3]))
        .collect();
    publish(&mut dns, "ns1", &soa("shop.test."), &rows).await.unwrap();
    for case in &cases {
        let (name, kind, answer) = (case[4], case[1].parse().unwrap(), case[5]);
        assert_eq!(dns.records("ns1", name, kind).await, [answer], "{name} {kind}");
    }
    let answer = dns.query("ns1", "www.shop.test.", RecordType::A).await;
    assert!(answer.metadata.authoritative && answer.answers[0].ttl == 300);
}

#[tokio::test]
async fn one_bad_record_keeps_the_zone_as_it_was() {
    let mut dns = NameServers::start(&["ns1"]).await;
    let origin = "shop.test.";
    let ns = row("", "NS", "ns1.hoster.net.", "0");
    let good = [ns.clone(), row("www", "A", "192.0.2.1", "0")];
    publish(&mut dns, "ns1", &soa(origin), &good).await.unwrap();
    // ISPConfig stores an alias beside an address; BIND takes no such zone.
    let bad = [
        ns,
        row("www", "A", "192.0.2.2", "0"),
        row("www", "CNAME", "x.test.", "0"),
    ];
    let refused = publish(&mut dns, "ns1", &soa(origin), &bad).await;
    assert!(refused.unwrap_err().contains("CNAME and other data"));
    assert_eq!(
        dns.records("ns1", "www.shop.test.", RecordType::A).await,
        ["192.0.2.1"]
    );
    let mut suspended = soa(origin);
    suspended.active = "N".to_owned();
    publish(&mut dns, "ns1", &suspended, &good).await.unwrap();
    let answer = dns.query("ns1", "www.shop.test.", RecordType::A).await;
    assert!(!answer.metadata.authoritative && answer.answers.is_empty());
}

#[test]
fn what_is_not_active_is_not_written() {
    let mut off = row("www", "A", "192.0.2.1", "0");
    off.active = "N".to_owned();
    assert_eq!(zone_file(&soa("shop.test."), std::slice::from_ref(&off)), None);
    let file = zone_file(&soa("shop.test."), &[off, row("", "NS", "ns1.hoster.net.", "0")]).unwrap();
    assert!(!String::from_utf8(file).unwrap().contains("192.0.2.1"));
    let mut suspended = soa("shop.test.");
    suspended.active = "N".to_owned();
    assert_eq!(
        zone_file(&suspended, &[row("", "NS", "ns1.hoster.net.", "0")]),
        None
    );
}

#[test]
fn long_texts_are_cut_after_255_bytes() {
    for (length, strings) in [(255, 1), (256, 2), (510, 2), (511, 3)] {
        let line = line(&row("t", "TXT", &"a".repeat(length), "0"));
        let quotes = line.iter().filter(|byte| **byte == b'"').count();
        assert_eq!(quotes, strings * 2, "{length}");
    }
    // The seam goes through a character of two bytes, as the plugin's does.
    let text = format!("{}ü", "a".repeat(254));
    assert!(String::from_utf8(line(&row("t", "TXT", &text, "0"))).is_err());
}
