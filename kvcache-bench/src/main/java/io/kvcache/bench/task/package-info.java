/**
 * The recall task: generated documents of several kinds with questions about the facts in them, and the
 * vocabulary they are written in. {@link io.kvcache.bench.task.DocumentGenerator} is the entry point; the
 * scripts in {@code kvcache-bench/training} train the shipped model on the same documents.
 */
package io.kvcache.bench.task;
