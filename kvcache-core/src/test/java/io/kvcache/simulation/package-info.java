/**
 * The whole engine against a reference model, deterministically: {@link io.kvcache.simulation.Simulation} runs one
 * seed.
 */
package io.kvcache.simulation;
