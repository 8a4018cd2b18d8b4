/**
 * The one door to @peculiar/x509: it finds its parts by decorators, which need reflect-metadata to be loaded before.
 * Import it from here only.
 */
import 'reflect-metadata';

export * from '@peculiar/x509';
