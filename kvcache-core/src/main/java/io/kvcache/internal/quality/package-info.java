/**
 * What an encoding costs in quality, judged from keys and values alone; see
 * {@link io.kvcache.internal.quality.AttentionFidelity}.
 */
package io.kvcache.internal.quality;
