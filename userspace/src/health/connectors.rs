//! The TLS contexts of checks, loaded while files can still be read.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{CheckStep, CheckSteps, Model, ServerTls};
use crate::tls::{self, Connector};

/// One context for each set of TLS settings that checks use.
#[derive(Debug, Default)]
pub struct Connectors(HashMap<*const ServerTls, Arc<Connector>>);

/// TLS settings of a check that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("'server {server}' : {reason}")]
pub struct ConnectorError {
    server: String,
    reason: String,
}

impl Connectors {
    /// Loads what the checks of a configuration need. To be called before privileges are given up and the root is changed.
    ///
    /// # Errors
    /// The first settings that cannot be used.
    pub fn load(model: &Model) -> Result<Self, ConnectorError> {
        let mut connectors = HashMap::new();
        for server in &model.servers {
            let Some(check) = &server.check else { continue };
            let steps = match &check.steps {
                CheckSteps::Tcp(steps) | CheckSteps::Http { steps, .. } => &steps[..],
                CheckSteps::Connect | CheckSteps::Protocol(_) => &[],
            };
            let of_steps = steps.iter().filter_map(|step| match step {
                CheckStep::Connect(connect) => connect.tls.as_ref(),
                _ => None,
            });
            for settings in check.tls.iter().chain(of_steps) {
                let key = Arc::as_ptr(settings);
                if connectors.contains_key(&key) {
                    continue;
                }
                let connector = tls::connector(settings, model).map_err(|reason| {
                    let backend = &model.proxy(server.proxy).name;
                    ConnectorError { server: format!("{backend}/{}", server.name), reason }
                })?;
                connectors.insert(key, Arc::new(connector));
            }
        }
        Ok(Self(connectors))
    }

    /// The context of settings that were in the configuration.
    pub(super) fn of(&self, settings: &Arc<ServerTls>) -> Option<Arc<Connector>> {
        self.0.get(&Arc::as_ptr(settings)).cloned()
    }
}
