/**
 * What was measured, as people read it: tables for a terminal, and pages with plots.
 *
 * <p>Entry point: {@link io.kvcache.bench.report.Report}.
 */
package io.kvcache.bench.report;
