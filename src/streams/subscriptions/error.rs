//! Errors of subscriptions, and their status and code.

use axum::http::StatusCode;

use super::rules::Refusal;
use super::wire::InvalidRequest;
use crate::http::{Problem, UrlRejected};
use crate::streams;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub(in crate::streams) enum Error {
    /// The rules refused it; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The URL of the webhook may not be called.
    #[error(transparent)]
    UrlRejected(#[from] UrlRejected),
    /// Receivers of webhooks could not call back.
    #[error("webhooks need streams.public_url, the URL under which their receivers reach this server")]
    NoPublicUrl,
    /// A signing key cannot be generated or used.
    #[error("cannot sign: {cause}")]
    Keys {
        /// The reason.
        cause: String,
    },
    /// The streams refused or failed it.
    #[error(transparent)]
    Streams(#[from] streams::Error),
    /// The request body cannot be read.
    #[error("{}", .0.detail())]
    Body(Problem),
    /// The caller may not do it.
    #[error("{}", .0.detail())]
    Access(Problem),
    /// The path does not support the method.
    #[error("{path} does not support {method}")]
    Method {
        /// The path.
        path: String,
        /// The method.
        method: String,
    },
    /// No route matches the path.
    #[error("{path} does not exist")]
    NoRoute {
        /// The path.
        path: String,
    },
}

impl From<InvalidRequest> for Error {
    fn from(error: InvalidRequest) -> Self {
        Self::Refused(error.into())
    }
}

impl Error {
    /// Returns status and code of the answer. The codes are a contract: clients branch on them.
    pub(super) fn status_and_code(&self) -> (StatusCode, String) {
        let (status, code) = match self {
            Self::Refused(refusal) => refusal_code(refusal),
            Self::UrlRejected(_) => (StatusCode::BAD_REQUEST, "WEBHOOK_URL_REJECTED"),
            Self::NoPublicUrl => (StatusCode::NOT_IMPLEMENTED, "PUBLIC_URL_MISSING"),
            Self::Keys { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "INVALID_REQUEST"),
            Self::NoRoute { .. } => (StatusCode::NOT_FOUND, "SUBSCRIPTION_NOT_FOUND"),
            Self::Streams(error) => return problem_code(&Problem::from(error.clone())),
            Self::Body(problem) | Self::Access(problem) => return problem_code(problem),
        };
        (status, code.to_owned())
    }

    /// Returns the message for the client.
    pub(super) fn message(&self) -> String {
        match self {
            // The detail of the problem is safe to show; the cause is in the log.
            Self::Streams(error) => Problem::from(error.clone()).detail().to_owned(),
            Self::Keys { cause } => {
                tracing::error!(cause, "cannot sign");
                "the server cannot sign; its log has the cause".to_owned()
            }
            Self::Refused(_)
            | Self::UrlRejected(_)
            | Self::NoPublicUrl
            | Self::Body(_)
            | Self::Access(_)
            | Self::Method { .. }
            | Self::NoRoute { .. } => self.to_string(),
        }
    }
}

fn refusal_code(refusal: &Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::Invalid(_) | Refusal::Id(_) | Refusal::OtherType { .. } | Refusal::OwnWakeStream { .. } => {
            (StatusCode::BAD_REQUEST, "INVALID_REQUEST")
        }
        Refusal::NotFound { .. } => (StatusCode::NOT_FOUND, "SUBSCRIPTION_NOT_FOUND"),
        Refusal::Exists { .. } => (StatusCode::CONFLICT, "SUBSCRIPTION_ALREADY_EXISTS"),
        Refusal::TokenInvalid => (StatusCode::UNAUTHORIZED, "TOKEN_INVALID"),
        Refusal::TokenExpired => (StatusCode::UNAUTHORIZED, "TOKEN_EXPIRED"),
        Refusal::Fenced { .. } => (StatusCode::CONFLICT, "FENCED"),
        Refusal::Offset { .. } => (StatusCode::CONFLICT, "INVALID_OFFSET"),
        Refusal::Claimed { .. } => (StatusCode::CONFLICT, "ALREADY_CLAIMED"),
        Refusal::NothingPending => (StatusCode::CONFLICT, "NO_PENDING_WORK"),
        Refusal::TooMany { .. } | Refusal::TooManyLinks { .. } | Refusal::TooManyPatterns { .. } => {
            (StatusCode::INSUFFICIENT_STORAGE, "FULL")
        }
    }
}

/// Returns status and code of a problem; the code is its slug in upper case.
fn problem_code(problem: &Problem) -> (StatusCode, String) {
    let (slug, status, _) = problem.kind().row();
    (status, slug.to_uppercase().replace('-', "_"))
}
