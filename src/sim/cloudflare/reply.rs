//! Answers: the envelope, and the refusals with their codes.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::sim::server::full;

/// An answer before it is sent.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub status: u16,
    pub body: Option<Value>,
    pub headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// Success with a result.
    pub fn ok(result: Value) -> Self {
        Self::of(json!({"result": result, "success": true, "errors": [], "messages": []}))
    }

    /// Success with one page of a listing.
    pub fn page(result: Vec<Value>, page: usize, per_page: usize, total: usize) -> Self {
        let info = json!({
            "page": page,
            "per_page": per_page,
            "count": result.len(),
            "total_count": total,
            "total_pages": total.div_ceil(per_page.max(1)),
        });
        Self::of(json!({
            "result": result, "success": true, "errors": [], "messages": [], "result_info": info,
        }))
    }

    /// Success with a whole envelope.
    pub fn of(body: Value) -> Self {
        Self {
            status: 200,
            body: Some(body),
            headers: Vec::new(),
        }
    }

    pub fn into_response(self) -> Response<Body> {
        let bytes = self.body.map(|body| body.to_string()).unwrap_or_default();
        let mut response = Response::new(full(bytes));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    code: u64,
    message: String,
    cause: Option<(u64, String)>,
}

impl Refusal {
    pub fn new(status: u16, code: u64, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            cause: None,
        }
    }

    fn because(mut self, code: u64, message: impl Into<String>) -> Self {
        self.cause = Some((code, message.into()));
        self
    }

    /// A record that is not valid; the cause stands in the chain only.
    pub fn validation(code: u64, message: impl Into<String>) -> Self {
        Self::new(400, 1004, "DNS Validation Error").because(code, message)
    }

    /// The body is not what the address takes.
    pub fn body(message: impl Into<String>) -> Self {
        Self::new(400, 9207, message)
    }

    /// The token lacks a right, or there is no such zone for it: the same to the outside.
    pub fn rights() -> Self {
        Self::new(403, 10000, "Authentication error")
    }

    /// The `Authorization` header is not one.
    pub fn header() -> Self {
        Self::new(400, 6003, "Invalid request headers")
            .because(6111, "Invalid format for Authorization header")
    }

    /// No such address.
    pub fn route(path: &str) -> Self {
        let message = format!("Could not route to {path}, perhaps your object identifier is invalid?");
        Self::new(404, 7003, message)
    }

    /// The record belongs to one of the vendor's own services.
    pub fn read_only() -> Self {
        Self::new(
            400,
            1043,
            "This record is managed by another service and is read only.",
        )
    }

    /// No such record.
    pub fn no_record() -> Self {
        Self::new(404, 81044, "Record does not exist.")
    }

    pub fn reply(&self) -> Reply {
        let mut error = json!({"code": self.code, "message": self.message});
        if let (Some((code, message)), Some(error)) = (&self.cause, error.as_object_mut()) {
            let chain = json!([{"code": code, "message": message}]);
            error.insert("error_chain".to_owned(), chain);
        }
        Reply {
            status: self.status,
            body: Some(json!({"result": null, "success": false, "errors": [error], "messages": []})),
            headers: Vec::new(),
        }
    }
}
