"""One column predicted from all others: forests, boosted trees and joints, pooled."""
