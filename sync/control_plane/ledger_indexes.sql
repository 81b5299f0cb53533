-- Indexes over columns that older ledgers were given later. Those by status, name and created_ms, which
-- these follow, are left where an older release has made them: it may open the ledger again.

-- Serves the fleet's newest executions.
CREATE INDEX IF NOT EXISTS execution_by_began ON execution (began_ms, execution_id);
-- Serves one device's newest executions.
CREATE INDEX IF NOT EXISTS execution_by_device_began
ON execution (device_id, began_ms, execution_id);
-- Serves the newest executions in one status.
CREATE INDEX IF NOT EXISTS execution_by_status_began ON execution (status, began_ms, execution_id);
-- Serves the newest executions of one workflow.
CREATE INDEX IF NOT EXISTS execution_by_name_began ON execution (name, began_ms, execution_id);
-- Serves how far the orders of a campaign have come.
CREATE INDEX IF NOT EXISTS device_order_of_campaign ON device_order (campaign_id, ended, cseq)
WHERE campaign_id IS NOT NULL;
-- Serve the removal of a device: what leads to a segment is looked for with each one that goes.
CREATE INDEX IF NOT EXISTS evidence_in_segment ON evidence (segment_id);
CREATE INDEX IF NOT EXISTS fetched_part_in_segment ON fetched_part (segment_id);
