//! What `docs/openapi.json` says of answers, and whether it is so.

use std::collections::BTreeSet;

use serde_json::Value;

/// The description, and what of it has been seen.
pub struct Description {
    file: Value,
    /// The operations that were answered.
    pub seen: BTreeSet<String>,
}

impl Description {
    /// Reads `docs/openapi.json`.
    pub fn read() -> Self {
        Self {
            file: serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap(),
            seen: BTreeSet::new(),
        }
    }

    /// Asserts that an operation is described to answer so.
    #[track_caller]
    pub fn holds(&mut self, operation: &str, status: u16, answer: &Value) {
        let paths = self.file["paths"].as_object().unwrap().values();
        let mut operations = paths.flat_map(|path| path.as_object().unwrap().values());
        let found = operations.find(|found| found["operationId"] == operation);
        let mut response = &found.unwrap()["responses"][status.to_string()];
        if let Some(name) = response["$ref"].as_str() {
            response = self.file.pointer(name.strip_prefix('#').unwrap()).unwrap();
        }
        let kind = if status == 200 {
            "application/json"
        } else {
            "application/problem+json"
        };
        let mut schema = response["content"][kind]["schema"].clone();
        assert!(
            schema.is_object(),
            "{operation} is not described to answer {status}: {answer:#}"
        );
        schema["components"] = self.file["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let faults: Vec<String> = validator
            .iter_errors(answer)
            .map(|fault| fault.to_string())
            .collect();
        assert!(
            faults.is_empty(),
            "{operation} {status}: {faults:?} in {answer:#}"
        );
        if status == 200 {
            self.seen.insert(operation.to_owned());
        }
    }

    /// Every operation there is.
    pub fn all(&self) -> BTreeSet<String> {
        let paths = self.file["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        operations
            .filter_map(|operation| Some(operation["operationId"].as_str()?.to_owned()))
            .collect()
    }
}
