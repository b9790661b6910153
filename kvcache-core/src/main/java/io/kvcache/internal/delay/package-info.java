/**
 * How long loading, storing and recomputing take, learned while they happen: {@link
 * io.kvcache.internal.delay.DelayModel} has all lines of a cache, {@link io.kvcache.internal.delay.Calibration} their
 * first values.
 */
package io.kvcache.internal.delay;
