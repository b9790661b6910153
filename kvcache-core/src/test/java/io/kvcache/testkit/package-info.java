/**
 * What tests of tiers, codecs and the cache itself share: {@link io.kvcache.testkit.TierContract} for every
 * {@link io.kvcache.spi.Tier}, a reference tier, injected faults, clocks and executors stepped by hand. Uses
 * nothing but the exported packages, so that it runs against any implementation.
 */
package io.kvcache.testkit;
