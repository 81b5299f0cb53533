-- The device's database. Forward-only and additive: after an update is rolled back, the older
-- program must open the file that the newer one wrote. Times are epoch milliseconds.

-- Single facts about this database: epoch, boot, the latest time written.
CREATE TABLE IF NOT EXISTS fact (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Definitions as they are registered, JSON.
CREATE TABLE IF NOT EXISTS workflow_definition (
  name     TEXT NOT NULL,
  version  INTEGER NOT NULL,
  document BLOB NOT NULL,
  PRIMARY KEY (name, version)
) STRICT;
CREATE TABLE IF NOT EXISTS task_definition (
  name     TEXT PRIMARY KEY,
  document BLOB NOT NULL
) STRICT;

-- Definitions as executions started from them, task definitions embedded; each distinct one once.
CREATE TABLE IF NOT EXISTS pinned_definition (
  key      INTEGER PRIMARY KEY,
  digest   BLOB NOT NULL UNIQUE,
  document BLOB NOT NULL
) STRICT;

-- Executions. Columns are for questions; the body (MessagePack) holds the whole record.
-- Keys and ids ascend with time, so that both trees grow at their ends.
CREATE TABLE IF NOT EXISTS workflow (
  key             INTEGER PRIMARY KEY,
  id              BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  name            TEXT NOT NULL,
  status          TEXT NOT NULL CHECK (
                    status IN ('RUNNING', 'PAUSED', 'COMPLETED', 'FAILED', 'TIMED_OUT', 'TERMINATED')
                  ),
  correlation_id  TEXT,
  idempotency_key TEXT,
  created_ms      INTEGER NOT NULL,
  due_ms          INTEGER,
  body            BLOB NOT NULL
) STRICT;
-- What was running when the power went, and /workflow/running/{name}.
CREATE INDEX IF NOT EXISTS workflow_open ON workflow (name)
  WHERE status IN ('RUNNING', 'PAUSED');
-- Executions by correlation id.
CREATE INDEX IF NOT EXISTS workflow_correlated ON workflow (correlation_id, name)
  WHERE correlation_id IS NOT NULL;
-- Has this start been asked for before?
CREATE INDEX IF NOT EXISTS workflow_idempotent ON workflow (idempotency_key, name)
  WHERE idempotency_key IS NOT NULL;
-- What times out next?
CREATE INDEX IF NOT EXISTS workflow_due ON workflow (due_ms) WHERE due_ms IS NOT NULL;

-- Tasks. The key is the workflow's key and the task's ordinal in one number, so that the records of
-- one execution stand side by side and no index over them is needed.
CREATE TABLE IF NOT EXISTS task (
  key    INTEGER PRIMARY KEY,
  due_ms INTEGER,
  body   BLOB NOT NULL
) STRICT;
-- What is due next? The timers are this column: none can be lost or left over.
CREATE INDEX IF NOT EXISTS task_due ON task (due_ms) WHERE due_ms IS NOT NULL;

-- Lines that workers wrote about a task.
CREATE TABLE IF NOT EXISTS task_log (
  key        INTEGER PRIMARY KEY,
  task       INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  line       TEXT NOT NULL
) STRICT;
-- The log of one task, and of all tasks of one execution.
CREATE INDEX IF NOT EXISTS task_log_task ON task_log (task, key);

-- Outputs of tasks with a cacheConfig, for later tasks with the same key; a bounded number.
CREATE TABLE IF NOT EXISTS kept_output (
  name       TEXT NOT NULL,
  cache_key  TEXT NOT NULL,
  expires_ms INTEGER NOT NULL,
  output     BLOB NOT NULL,
  PRIMARY KEY (name, cache_key)
) STRICT;
-- What has expired, and what expires soonest?
CREATE INDEX IF NOT EXISTS kept_output_expiry ON kept_output (expires_ms);

-- History on its way up; the row is the record. key = lane in the high bits, sequence in the low.
CREATE TABLE IF NOT EXISTS history (
  key         INTEGER PRIMARY KEY,
  kind        TEXT NOT NULL,
  recorded_ms INTEGER NOT NULL,
  boot        INTEGER NOT NULL,
  body        BLOB NOT NULL
) STRICT;
-- Runs of records, each a frame as it travels: of one transaction that has written many, or of rows
-- that have waited for long. A record is in a row or in a run. key = lane and sequence of the first.
CREATE TABLE IF NOT EXISTS sealed (
  key   INTEGER PRIMARY KEY,
  count INTEGER NOT NULL,
  frame BLOB NOT NULL
) STRICT;
-- How far the control plane has acknowledged each lane, the next sequence to give, what the records
-- of both tables take, and with which sequence the epoch begins.
CREATE TABLE IF NOT EXISTS lane (
  lane     INTEGER PRIMARY KEY,
  acked    INTEGER NOT NULL,
  next_seq INTEGER NOT NULL,
  bytes    INTEGER NOT NULL DEFAULT 0,
  first    INTEGER NOT NULL DEFAULT 1
) STRICT;

-- Messages that EVENT tasks handed over and that the broker has not taken yet.
CREATE TABLE IF NOT EXISTS publication (
  key        INTEGER PRIMARY KEY,
  message_id TEXT NOT NULL,
  topic      TEXT NOT NULL,
  payload    BLOB NOT NULL
) STRICT;

-- Event handlers as they are registered, JSON.
CREATE TABLE IF NOT EXISTS event_handler (
  name     TEXT PRIMARY KEY,
  event    TEXT NOT NULL,
  active   INTEGER NOT NULL CHECK (active IN (0, 1)),
  document BLOB NOT NULL
) STRICT;
-- Which handlers does a message of this event meet, and which topics are listened to?
CREATE INDEX IF NOT EXISTS event_handler_event ON event_handler (event, active);

-- Messages of events, the newest some thousand. One that a workflow sent is written with the
-- decision that sent it and is RECEIVED until its handlers have run, in one transaction with that.
CREATE TABLE IF NOT EXISTS event_message (
  key         INTEGER PRIMARY KEY,
  event       TEXT NOT NULL,
  message_id  TEXT NOT NULL,
  received_ms INTEGER NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('RECEIVED', 'HANDLED', 'REJECTED')),
  reason      TEXT,
  payload     BLOB NOT NULL
) STRICT;
-- Has this message come before? And the messages of one event.
CREATE UNIQUE INDEX IF NOT EXISTS event_message_once ON event_message (event, message_id);
-- What still waits for its handlers?
CREATE INDEX IF NOT EXISTS event_message_waiting ON event_message (key) WHERE status = 'RECEIVED';

-- Topic filters that our session at the broker is subscribed to.
CREATE TABLE IF NOT EXISTS event_subscription (
  filter TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Messages to running executions that no task has taken yet; they leave with the execution's end.
CREATE TABLE IF NOT EXISTS workflow_message (
  key         INTEGER PRIMARY KEY,
  workflow    INTEGER NOT NULL,
  id          TEXT NOT NULL,
  received_ms INTEGER NOT NULL,
  payload     BLOB NOT NULL
) STRICT;
-- The oldest messages of one execution, and all of them.
CREATE INDEX IF NOT EXISTS workflow_message_workflow ON workflow_message (workflow, key);

-- Notices of listeners that a web server has not taken yet.
CREATE TABLE IF NOT EXISTS delivery (
  key        INTEGER PRIMARY KEY,
  url        TEXT NOT NULL,
  message_id TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  due_ms     INTEGER NOT NULL,
  attempts   INTEGER NOT NULL,
  payload    BLOB NOT NULL
) STRICT;
-- Which is tried next?
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (due_ms, key);
-- What waits for one place, and until when?
CREATE INDEX IF NOT EXISTS delivery_place ON delivery (url, due_ms);

-- What has become of each action of a handler for each message. The row is written with what the
-- action did, so that a message delivered twice acts once.
CREATE TABLE IF NOT EXISTS event_execution (
  key        INTEGER PRIMARY KEY,
  handler    TEXT NOT NULL,
  event      TEXT NOT NULL,
  id         TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  status     TEXT NOT NULL CHECK (status IN ('IN_PROGRESS', 'COMPLETED', 'FAILED', 'SKIPPED')),
  action     TEXT,
  output     BLOB NOT NULL
) STRICT;
-- Has this action been done for this message? And what a handler has done.
CREATE UNIQUE INDEX IF NOT EXISTS event_execution_once ON event_execution (handler, event, id);

-- Payloads that lie in files beside this database: which record needs which file. holder = key of the
-- task, or with ordinal 0 the execution; path = the name under which a client has uploaded it.
CREATE TABLE IF NOT EXISTS payload (
  holder INTEGER NOT NULL,
  part   TEXT NOT NULL CHECK (part IN ('input', 'output')),
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  path   TEXT,
  PRIMARY KEY (holder, part)
) STRICT, WITHOUT ROWID;
-- Does any record still need this file?
CREATE INDEX IF NOT EXISTS payload_digest ON payload (digest);
-- What was uploaded under this name?
CREATE INDEX IF NOT EXISTS payload_path ON payload (path) WHERE path IS NOT NULL;

-- Files that workers hand each other by handles; the content lies beside this database. workflow =
-- the owner's id where it is one of ours.
CREATE TABLE IF NOT EXISTS file (
  id           TEXT PRIMARY KEY,
  workflow_id  TEXT NOT NULL,
  workflow     BLOB,
  task_id      TEXT,
  name         TEXT,
  content_type TEXT NOT NULL,
  status       TEXT NOT NULL CHECK (status IN ('UPLOADING', 'UPLOADED')),
  size_bytes   INTEGER NOT NULL,
  sha256       TEXT,
  created_ms   INTEGER NOT NULL,
  updated_ms   INTEGER NOT NULL
) STRICT;
-- Which have not changed for long?
CREATE INDEX IF NOT EXISTS file_updated ON file (updated_ms);

-- Schemas of payloads as they are registered, JSON.
CREATE TABLE IF NOT EXISTS schema_definition (
  name     TEXT NOT NULL,
  version  INTEGER NOT NULL,
  document BLOB NOT NULL,
  PRIMARY KEY (name, version)
) STRICT;

-- Secrets, each sealed by itself with AES-256-GCM; its name is the associated data, so that one
-- cannot be put in another's place. The key is in a file, never here.
CREATE TABLE IF NOT EXISTS secret (
  name       TEXT PRIMARY KEY,
  key_id     BLOB NOT NULL,
  nonce      BLOB NOT NULL CHECK (length(nonce) = 12),
  sealed     BLOB NOT NULL,
  tags       TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL
) STRICT;
-- Environment variables: values that are no secrets.
CREATE TABLE IF NOT EXISTS environment (
  name       TEXT PRIMARY KEY,
  value      TEXT NOT NULL,
  tags       TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL
) STRICT;

-- Tags of workflow and task definitions. A value is JSON: a text, or the number of a rate limit.
CREATE TABLE IF NOT EXISTS definition_tag (
  kind     TEXT NOT NULL CHECK (kind IN ('WORKFLOW_DEF', 'TASK_DEF')),
  name     TEXT NOT NULL,
  position INTEGER NOT NULL,
  key      TEXT NOT NULL,
  value    TEXT NOT NULL,
  type     TEXT,
  PRIMARY KEY (kind, name, position)
) STRICT, WITHOUT ROWID;
-- Which definitions carry a tag?
CREATE INDEX IF NOT EXISTS definition_tag_carriers ON definition_tag (key, value, kind);

-- Schedules as they are posted, JSON.
CREATE TABLE IF NOT EXISTS schedule (
  name     TEXT PRIMARY KEY,
  workflow TEXT NOT NULL,
  paused   INTEGER NOT NULL CHECK (paused IN (0, 1)),
  document BLOB NOT NULL
) STRICT;
-- Where each schedule stands: apart from its document, which a tick need not write again.
CREATE TABLE IF NOT EXISTS schedule_timer (
  schedule   TEXT PRIMARY KEY,
  next_ms    INTEGER,
  settled_ms INTEGER NOT NULL,
  ticks      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Which schedule is due next?
CREATE INDEX IF NOT EXISTS schedule_due ON schedule_timer (next_ms) WHERE next_ms IS NOT NULL;
-- What became of each tick; of every schedule the newest are kept.
CREATE TABLE IF NOT EXISTS schedule_execution (
  key          INTEGER PRIMARY KEY,
  schedule     TEXT NOT NULL,
  workflow     TEXT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('POLLED', 'EXECUTED', 'FAILED')),
  scheduled_ms INTEGER NOT NULL,
  executed_ms  INTEGER NOT NULL,
  body         BLOB NOT NULL
) STRICT;
-- The records of one schedule, the newest of them, and those that are too old.
CREATE INDEX IF NOT EXISTS schedule_execution_of ON schedule_execution (schedule, key);

-- Who may speak to this device, where that is asked for: programs, and their keys. Of a secret only
-- a scrypt hash is kept.
CREATE TABLE IF NOT EXISTS application (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  roles      TEXT NOT NULL,
  tags       TEXT NOT NULL,
  created_by TEXT NOT NULL,
  updated_by TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS access_key (
  id          TEXT PRIMARY KEY,
  application TEXT NOT NULL,
  salt        BLOB NOT NULL CHECK (length(salt) = 16),
  hash        BLOB NOT NULL CHECK (length(hash) = 32),
  status      TEXT NOT NULL CHECK (status IN ('ACTIVE', 'INACTIVE')),
  created_ms  INTEGER NOT NULL
) STRICT;
-- The keys of one application.
CREATE INDEX IF NOT EXISTS access_key_of ON access_key (application);
-- People, groups of them, roles of the site's own (JSON), and who may have what.
CREATE TABLE IF NOT EXISTS person (
  id       TEXT PRIMARY KEY,
  document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS person_group (
  id       TEXT PRIMARY KEY,
  document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS group_member (
  group_id  TEXT NOT NULL,
  person_id TEXT NOT NULL,
  PRIMARY KEY (group_id, person_id)
) STRICT, WITHOUT ROWID;
-- The groups of one person.
CREATE INDEX IF NOT EXISTS group_member_person ON group_member (person_id);
CREATE TABLE IF NOT EXISTS custom_role (
  name        TEXT PRIMARY KEY,
  permissions TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS access_grant (
  target_type  TEXT NOT NULL,
  target_id    TEXT NOT NULL,
  subject_type TEXT NOT NULL,
  subject_id   TEXT NOT NULL,
  access       TEXT NOT NULL,
  PRIMARY KEY (target_type, target_id, subject_type, subject_id, access)
) STRICT, WITHOUT ROWID;
-- What one subject may have.
CREATE INDEX IF NOT EXISTS access_grant_subject ON access_grant (subject_type, subject_id);

-- Executions that were removed and are kept as a copy. The body (MessagePack) is what a search looks
-- into, the document (JSON, zlib) what a client saw. Keys ascend with the time of archiving; the
-- unique index finds a copy by the execution's id.
CREATE TABLE IF NOT EXISTS archive (
  key         INTEGER PRIMARY KEY,
  id          BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  archived_ms INTEGER NOT NULL,
  body        BLOB NOT NULL,
  document    BLOB NOT NULL
) STRICT;

-- What the storage has damaged. relation = the table, record = its key there; the body is what was
-- found in its place. settled = 0: the execution has still to be ended.
CREATE TABLE IF NOT EXISTS damage (
  key         INTEGER PRIMARY KEY,
  found_ms    INTEGER NOT NULL,
  relation    TEXT NOT NULL,
  record      TEXT NOT NULL,
  workflow_id TEXT NOT NULL,
  reason      TEXT NOT NULL,
  body        BLOB,
  settled     INTEGER NOT NULL CHECK (settled IN (0, 1))
) STRICT;
-- What has still to be acted upon.
CREATE INDEX IF NOT EXISTS damage_unsettled ON damage (key) WHERE settled = 0;

-- Orders of a control plane that have been dealt with, each written with what it did. The one with
-- the greatest place says how far the line has come; the others are kept until their time is over, so
-- that none acts twice.
CREATE TABLE IF NOT EXISTS order_inbox (
  id         TEXT PRIMARY KEY,
  cseq       INTEGER NOT NULL,
  kind       TEXT NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('done', 'failed', 'expired', 'superseded')),
  reason     TEXT,
  output     BLOB,
  expires_ms INTEGER NOT NULL
) STRICT;
-- How far has the line come?
CREATE UNIQUE INDEX IF NOT EXISTS order_inbox_line ON order_inbox (cseq);
-- Which can be forgotten?
CREATE INDEX IF NOT EXISTS order_inbox_expiry ON order_inbox (expires_ms);

-- The revision of each thing that orders have put here, and what it was.
CREATE TABLE IF NOT EXISTS ordered (
  subject  TEXT PRIMARY KEY,
  revision INTEGER NOT NULL,
  digest   BLOB NOT NULL,
  document BLOB NOT NULL
) STRICT;

-- What has been committed and stands in no table yet, a row a COMMIT, in its order (packed, with a
-- checksum).
CREATE TABLE IF NOT EXISTS redo (
  key  INTEGER PRIMARY KEY,
  body BLOB NOT NULL
) STRICT;

-- What a control plane has ordered to be fetched. last_seq = NULL: it has still to be looked for; else
-- the last record of the answer in the bulk lane, and when that is acknowledged the row goes.
CREATE TABLE IF NOT EXISTS fetch (
  order_id TEXT PRIMARY KEY,
  kind     TEXT NOT NULL,
  body     BLOB NOT NULL,
  given_ms INTEGER NOT NULL,
  last_seq INTEGER
) STRICT;
