//! Logs: text for people, JSON lines for collectors, a filter, never a secret by way of a library's chatter.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{FormatEvent, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Libraries that log each connection or request below `warn`. Kube's and hyper's debug lines show addresses
/// and headers; nobody who asks for our debug lines wants those as well. A filter that names one of these
/// modules wins over this list.
const QUIET_LIBRARIES: &str = "h2=warn,hyper=warn,hyper_util=warn,kube=warn,kube_client=warn,\
                               kube_runtime=warn,reqwest=warn,russh=warn,rustls=warn,\
                               rustls_platform_verifier=warn,tower=warn";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line, the fields of the spans around an event at its top level.
    Json,
}

/// The text is neither `text` nor `json`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a log format; write text or json")]
pub struct LogFormatError(String);

impl FromStr for LogFormat {
    type Err = LogFormatError;

    fn from_str(text: &str) -> Result<Self, LogFormatError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LogFormatError(other.to_owned())),
        }
    }
}

/// What is logged, in the notation of `RUST_LOG`: `info`, or `hostwright=debug,kube=info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// Logging could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error(
        "the log filter \"{filter}\" cannot be read ({reason}); write info, or hostwright=debug,kube=info"
    )]
    Filter {
        /// The refused text.
        filter: String,
        /// The parser's words.
        reason: String,
    },
    /// Something else of this process already receives the logs.
    #[error("logging was already set up in this process")]
    AlreadySet,
}

impl FromStr for LogFilter {
    type Err = TelemetryError;

    fn from_str(text: &str) -> Result<Self, TelemetryError> {
        let text = text.trim();
        let filter = Self(if text.is_empty() { "info" } else { text }.to_owned());
        // The library takes a lone word that is no level as the name of a module, so that `verbose` would
        // silence everything else without a word.
        let stray = |part: &&str| !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err();
        if let Some(word) = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .find(stray)
        {
            return Err(TelemetryError::Filter {
                filter: text.to_owned(),
                reason: format!("{word} is no level"),
            });
        }
        filter.directives().map(|_| filter)
    }
}

impl LogFilter {
    fn directives(&self) -> Result<EnvFilter, TelemetryError> {
        // Of two directives for the same module the later one counts.
        EnvFilter::try_new(format!("{QUIET_LIBRARIES},{}", self.0)).map_err(|error| TelemetryError::Filter {
            filter: self.0.clone(),
            reason: error.to_string(),
        })
    }
}

/// Sends the process's logs to the standard error, so that the standard output stays free for what a
/// subcommand prints. Colours only on a terminal, and not when `NO_COLOR` is set.
///
/// # Errors
/// When called a second time, or for a filter that cannot be read.
pub fn init(format: LogFormat, filter: &LogFilter) -> Result<(), TelemetryError> {
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = subscriber(format, filter, colours, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::AlreadySet)
}

fn subscriber<W>(
    format: LogFormat,
    filter: &LogFilter,
    colours: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter.directives()?)
        .with_writer(writer);
    Ok(match format {
        LogFormat::Text => Box::new(builder.with_ansi(colours).finish()),
        LogFormat::Json => Box::new(
            builder
                .with_ansi(false)
                .fmt_fields(JsonFields::new())
                .event_format(FlatJson)
                .finish(),
        ),
    })
}

/// The library's own JSON format nests the spans and writes a span's field `name` beside the span's own
/// `name`, which makes an object with the same key twice. A pass's span has exactly such a field.
struct FlatJson;

impl<S> FormatEvent<S, JsonFields> for FlatJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        // From the outermost span to the event: the nearer value wins.
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            if let Some(Ok(fields)) = fields.map(|fields| serde_json::from_str::<Map<String, Value>>(fields))
            {
                line.extend(fields);
            }
        }
        event.record(&mut Fields(&mut line));
        let metadata = event.metadata();
        line.insert("timestamp".to_owned(), jiff::Timestamp::now().to_string().into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        line.insert("target".to_owned(), metadata.target().into());
        let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

/// Collects an event's fields.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Page {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn logged(format: LogFormat, filter: &str, colours: bool, work: impl FnOnce()) -> String {
        let page = Page::default();
        let filter = filter.parse().unwrap();
        let subscriber = subscriber(format, &filter, colours, page.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, work);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn one_pass() {
        let span = tracing::info_span!(
            "pass",
            kind = "WordPressSite",
            namespace = "customers",
            name = "shop",
            generation = 3
        );
        let _inside = span.enter();
        let inner = tracing::info_span!("act", step = tracing::field::Empty);
        inner.record("step", "create");
        let _deeper = inner.enter();
        tracing::info!(vmid = 1001_u64, ok = true, "container \"shop\"\nstarted");
    }

    #[test]
    fn json_lines_carry_the_fields_of_the_spans() {
        let text = logged(LogFormat::Json, "info", true, one_pass);
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["kind"], "WordPressSite");
        assert_eq!(line["namespace"], "customers");
        assert_eq!(line["name"], "shop");
        assert_eq!(line["generation"], 3);
        assert_eq!(line["step"], "create");
        assert_eq!(line["vmid"], 1001);
        assert_eq!(line["ok"], true);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "container \"shop\"\nstarted");
        assert!(
            line["timestamp"]
                .as_str()
                .unwrap()
                .parse::<jiff::Timestamp>()
                .is_ok()
        );
        assert_eq!(text.matches("\"name\"").count(), 1, "{text}");
    }

    #[test]
    fn text_has_colours_only_when_asked() {
        let plain = logged(LogFormat::Text, "info", false, one_pass);
        assert!(
            plain.contains("kind=\"WordPressSite\"") && plain.contains("vmid=1001"),
            "{plain}"
        );
        assert!(!plain.contains('\u{1b}'), "{plain}");
        assert!(logged(LogFormat::Text, "info", true, one_pass).contains('\u{1b}'));
    }

    #[test]
    fn libraries_stay_quiet_unless_they_are_named() {
        let chatter = || {
            tracing::debug!(target: "hyper_util::client", "connected");
            tracing::debug!(target: "hostwright::providers", "asked");
        };
        let text = logged(LogFormat::Text, "debug", false, chatter);
        assert!(text.contains("asked") && !text.contains("connected"), "{text}");
        let text = logged(LogFormat::Text, "info,hyper_util=debug", false, chatter);
        assert!(!text.contains("asked") && text.contains("connected"), "{text}");
    }

    #[test]
    fn a_bad_filter_is_an_error_and_not_a_panic() {
        let said = "hostwright=loud".parse::<LogFilter>().unwrap_err().to_string();
        assert!(
            said.starts_with("the log filter \"hostwright=loud\" cannot be read ("),
            "{said}"
        );
        let said = "verbose".parse::<LogFilter>().unwrap_err().to_string();
        assert!(said.contains("(verbose is no level)"), "{said}");
        assert_eq!("".parse::<LogFilter>(), "info".parse());
    }
}
