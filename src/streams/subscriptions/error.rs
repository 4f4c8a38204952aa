//! What can go wrong with a subscription.

use axum::http::StatusCode;

use super::rules::Refusal;
use super::wire::InvalidRequest;
use crate::http::{Problem, UrlRejected};
use crate::streams;

/// Why a call has not done what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(in crate::streams) enum Error {
    /// The rules say no; nothing has changed.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The URL of a webhook must not be called.
    #[error("{0}")]
    UrlRejected(#[from] UrlRejected),
    /// There is no key to sign with.
    #[error("there is no key to sign with: {cause}")]
    Keys {
        /// Why.
        cause: String,
    },
    /// The streams cannot do it.
    #[error("{0}")]
    Streams(#[from] streams::Error),
    /// The body did not arrive.
    #[error("{}", .0.detail())]
    Body(Problem),
    /// The path is right, the method is not.
    #[error("{path} does not answer {method}")]
    Method {
        /// The path.
        path: String,
        /// The method.
        method: String,
    },
    /// There is nothing at this path.
    #[error("there is nothing at {path}")]
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
    /// Status and code of the answer. The codes are a contract: clients branch on them.
    pub(super) fn row(&self) -> (StatusCode, String) {
        let (status, code) = match self {
            Self::Refused(refusal) => row_of(refusal),
            Self::UrlRejected(_) => (StatusCode::BAD_REQUEST, "WEBHOOK_URL_REJECTED"),
            Self::Keys { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "INVALID_REQUEST"),
            Self::NoRoute { .. } => (StatusCode::NOT_FOUND, "SUBSCRIPTION_NOT_FOUND"),
            Self::Streams(error) => return row_of_problem(&Problem::from(error.clone())),
            Self::Body(problem) => return row_of_problem(problem),
        };
        (status, code.to_owned())
    }

    /// What the client gets to read.
    pub(super) fn message(&self) -> String {
        match self {
            // Its detail is fit for clients; the cause is in the log.
            Self::Streams(error) => Problem::from(error.clone()).detail().to_owned(),
            Self::Keys { cause } => {
                tracing::error!(cause, "there is no key to sign with");
                "there is no key to sign with; the log has the cause".to_owned()
            }
            Self::Refused(_) | Self::UrlRejected(_) | Self::Body(_) | Self::Method { .. } | Self::NoRoute { .. } => {
                self.to_string()
            }
        }
    }
}

fn row_of(refusal: &Refusal) -> (StatusCode, &'static str) {
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
        Refusal::TooMany { .. } | Refusal::TooManyLinks { .. } => (StatusCode::INSUFFICIENT_STORAGE, "FULL"),
    }
}

/// The slug of a problem, as codes are written here.
fn row_of_problem(problem: &Problem) -> (StatusCode, String) {
    let (slug, status, _) = problem.kind().row();
    (status, slug.to_uppercase().replace('-', "_"))
}
