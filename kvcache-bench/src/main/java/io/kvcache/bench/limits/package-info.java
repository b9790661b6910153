/**
 * What this machine can do at best, and how much of it every path of the library reaches: {@link
 * io.kvcache.bench.limits.LimitsCommand} runs groups of {@link io.kvcache.bench.limits.Probe}s. A new path is a
 * {@link io.kvcache.bench.limits.PathProbe} in a group of {@link io.kvcache.bench.limits.Groups}.
 */
package io.kvcache.bench.limits;
