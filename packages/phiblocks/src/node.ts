export * from '@phiblocks/hub/node';
export * from '@phiblocks/runtime/node';
export * from '@phiblocks/weights/node';
