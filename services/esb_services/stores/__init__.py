"""The local stores: S3, DynamoDB and CloudWatch Logs served by moto in memory."""
