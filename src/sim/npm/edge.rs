//! What visitors get: the pages of the WordPress behind a host, those of the proxy, or what a host's own text says.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header};

use super::Program;
use super::nginx::Canned;
use crate::sim::directory::Installed;

/// The page for names that no host answers for.
const DEFAULT_PAGE: &str = "<!DOCTYPE html><html><head><title>Default Site</title></head><body><h1>Congratulations!\
    </h1><p>You've successfully started the Nginx Proxy Manager.</p></body></html>";
const BAD_GATEWAY: &str = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1>\
    </center><hr><center>openresty</center></body></html>";
const MOVED: &str = "<html><head><title>301 Moved Permanently</title></head><body><center><h1>301 Moved \
    Permanently</h1></center><hr><center>openresty</center></body></html>";
const LOG_IN: &str = "<!DOCTYPE html><html lang=\"en-US\"><head><title>Log In &lsaquo; Site &#8212; WordPress</title>\
    </head><body class=\"login no-js login-action-login wp-core-ui\"><div id=\"login\"><form name=\"loginform\" \
    id=\"loginform\" action=\"/wp-login.php\" method=\"post\"><input type=\"text\" name=\"log\" id=\"user_login\">\
    <input type=\"password\" name=\"pwd\" id=\"user_pass\"><input type=\"submit\" name=\"wp-submit\" \
    id=\"wp-submit\" value=\"Log In\"></form></div></body></html>";
const INSTALLER: &str = "<!DOCTYPE html><html lang=\"en-US\"><head><title>WordPress &rsaquo; Installation</title>\
    </head><body class=\"wp-core-ui\"><h1>Welcome</h1><form id=\"setup\" method=\"post\" \
    action=\"install.php?step=2\" novalidate=\"novalidate\"><input name=\"weblog_title\" type=\"text\" \
    id=\"weblog_title\"><input name=\"user_name\" type=\"text\"></form></body></html>";
const INSTALLED: &str = "<!DOCTYPE html><html lang=\"en-US\"><head><title>WordPress &rsaquo; Installation</title>\
    </head><body class=\"wp-core-ui\"><h1>Already Installed</h1><p>You appear to have already installed WordPress. \
    To reinstall please clear your old database tables first.</p></body></html>";
/// The front page, before and after its headline.
const FRONT_PAGE: (&str, &str) = (
    "<!DOCTYPE html><html lang=\"en-US\"><head><title>Site</title><meta name=\"generator\" content=\"WordPress 6.8\">\
     </head><body class=\"home blog\"><h1>",
    "</h1></body></html>",
);
const NOT_FOUND: &str =
    "<!DOCTYPE html><html><head><title>Page not found</title></head><body>404</body></html>";

/// One of the two ports.
struct Port {
    program: Arc<Program>,
    tls: bool,
}

/// What visitors reach on one port.
pub(super) fn router(program: Arc<Program>, tls: bool) -> Router {
    Router::new()
        .fallback(serve)
        .with_state(Arc::new(Port { program, tls }))
}

async fn serve(Shared(port): Shared<Arc<Port>>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let conf = {
        let state = port.program.state();
        state
            .serving
            .values()
            .find(|conf| conf.answers_for(&host))
            .cloned()
    };
    let Some(conf) = conf else {
        return page(200, DEFAULT_PAGE);
    };
    if !port.tls && conf.ssl_forced && conf.certificate.is_some() {
        return redirect(301, &format!("https://{host}{uri}"), MOVED);
    }
    if let Some(canned) = conf.text.answer(uri.path()) {
        return by_itself(canned);
    }
    match upstream(&port.program, &conf.forward_host) {
        None => page(502, BAD_GATEWAY),
        Some(installed) => wordpress(&installed, &host, uri.path(), port.tls),
    }
}

/// The WordPress at an address. Without one nothing listens there, even in a container that runs.
fn upstream(program: &Program, address: &str) -> Option<Installed> {
    let directory = program.directory.as_ref()?;
    let address: Ipv4Addr = address.parse().ok()?;
    directory.installed(directory.running_at(address)?)
}

fn wordpress(installed: &Installed, host: &str, path: &str, tls: bool) -> Response<Body> {
    match (installed.setup_finished, path) {
        (false, "/wp-admin/install.php") => page(200, INSTALLER),
        (false, _) => redirect(302, "/wp-admin/install.php", ""),
        (true, "/wp-admin/install.php") => page(200, INSTALLED),
        (true, "/wp-login.php") => page(200, LOG_IN),
        // WordPress sends visitors of its pages to the one name that it was set up for.
        (true, "/") if !installed.host.eq_ignore_ascii_case(host) => {
            let scheme = if tls { "https" } else { "http" };
            redirect(301, &format!("{scheme}://{}/", installed.host), "")
        }
        (true, "/") => {
            let (before, after) = FRONT_PAGE;
            page(200, [before, &installed.headline, after].concat())
        }
        (true, _) => page(404, NOT_FOUND),
    }
}

/// What nginx answers without asking anybody.
fn by_itself(canned: Canned) -> Response<Body> {
    let mut response = Response::new(Body::from(canned.body));
    *response.status_mut() = StatusCode::from_u16(canned.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = (header::CONTENT_TYPE.as_str().to_owned(), canned.content_type);
    for (name, value) in canned.headers.into_iter().chain([kind]) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn page(status: u16, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let html = HeaderValue::from_static("text/html; charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

fn redirect(status: u16, target: &str, body: &'static str) -> Response<Body> {
    let mut response = page(status, body);
    if let Ok(target) = HeaderValue::from_str(target) {
        response.headers_mut().insert(header::LOCATION, target);
    }
    response
}
