/** Memory outside the heap, for this library's own modules. */
package io.kvcache.internal.memory;
