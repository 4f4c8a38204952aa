//! Requests that a listener answers: those that its access control admits.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use axum::response::IntoResponse;

use super::answering::{Answering, Answers, Caller};
use crate::http::access::{Access, Reach};

/// Answers the requests that are admitted, and refuses all others before they are routed.
pub(super) struct Guarded<A> {
    access: Arc<Access>,
    reach: Reach,
    answers: Arc<A>,
}

impl<A: Answers> Guarded<A> {
    pub(super) fn new(access: Arc<Access>, reach: Reach, answers: A) -> Self {
        Self { access, reach, answers: Arc::new(answers) }
    }
}

impl<A: Answers> Answers for Guarded<A> {
    fn answer(&self, request: Request<Body>, caller: Caller) -> Answering {
        if let Err(refused) = self.access.check(self.reach, &request) {
            return Box::pin(std::future::ready(refused.into_response()));
        }
        match self.access.cors_of(&request) {
            None => self.answers.answer(request, caller),
            Some(cors) => {
                let (cors, answers) = (Arc::clone(cors), Arc::clone(&self.answers));
                Box::pin(async move { cors.apply(request, |request| answers.answer(request, caller)).await })
            }
        }
    }
}
