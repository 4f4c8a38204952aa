//! The search for the caller of each request.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use axum::response::IntoResponse;

use super::answering::{Answering, Answers, Caller};
use crate::http::access::{Authorizer, Identified, hides_details, without_details};

/// Adds the rights of its caller to each request, where rules are in force.
pub(super) struct Authorized<A> {
    /// `None` if everyone may do everything.
    authorizer: Option<Authorizer>,
    answers: Arc<A>,
}

impl<A: Answers> Authorized<A> {
    pub(super) fn new(authorizer: Option<Authorizer>, answers: A) -> Self {
        Self { authorizer, answers: Arc::new(answers) }
    }
}

impl<A: Answers> Answers for Authorized<A> {
    fn answer(&self, mut request: Request<Body>, caller: Caller) -> Answering {
        let Some(authorizer) = &self.authorizer else { return self.answers.answer(request, caller) };
        match authorizer.identify(&mut request, caller.peer.0.ip()) {
            Ok(Identified::Done) => answer_known(&*self.answers, request, caller),
            Ok(Identified::Fetch(token)) => {
                let (authorizer, answers) = (authorizer.clone(), Arc::clone(&self.answers));
                Box::pin(async move {
                    match authorizer.fetch(&mut request, token).await {
                        Ok(()) => answer_known(&*answers, request, caller).await,
                        Err(problem) => problem.into_response(),
                    }
                })
            }
            Err(problem) => Box::pin(std::future::ready(problem.into_response())),
        }
    }
}

/// Answers a request whose caller is known. Strangers get no details of `/ready`.
fn answer_known(answers: &impl Answers, request: Request<Body>, caller: Caller) -> Answering {
    let is_shortened = hides_details(&request);
    let answering = answers.answer(request, caller);
    match is_shortened {
        true => Box::pin(async move { without_details(&answering.await) }),
        false => answering,
    }
}
