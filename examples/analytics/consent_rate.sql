-- Consent rate by day, region and notice version, from a file that
--     consentkit ledger export sqlite:///consent.db records.parquet --format parquet
-- wrote. Run it with DuckDB, in the folder of that file.
--
-- The rate is the share of answers that granted a category, among the answers that were asked for it.
-- Signals and acknowledgements are no answers, so they do not count.
SELECT
    CAST(time AS DATE) AS day,
    region,
    policy_version,
    left(notice, 12) AS notice,
    choice.name AS category,
    count(*) AS answers,
    round(avg(CAST(choice.granted AS INTEGER)), 4) AS rate
FROM (
    SELECT time, region, policy_version, notice, asked, unnest(choices) AS choice
    FROM 'records.parquet'
    WHERE event IN ('given', 'refused', 'changed', 'withdrawn', 'objected')
)
WHERE choice.kind = 'category' AND choice.basis = 'express' AND list_contains(asked, choice.name)
GROUP BY ALL
ORDER BY ALL;
